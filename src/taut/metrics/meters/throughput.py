"""How fast a script trains or generates, by its own count."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable

from taut.errors import InputError
from taut.metrics.meters import cuda

__all__ = ["Throughput"]


class Throughput:
    """Tokens and sequences a second, once everything is warm.

    Choose it where speed is an objective or a constraint. Call `tick` at the end of each step, and report `values`:

        meter = taut.metrics.meters.Throughput(warmup=10)
        for step, batch in enumerate(batches):
            train(batch)
            meter.tick(tokens=batch.mask.sum(), sequences=len(batch))
        taut.report(eval_loss=loss, **meter.values)

    Speeds are all that was counted, by all the time it took. Frameworks that count from the first step (the Trainer's
    `train_samples_per_second`) include compiling, filling of caches and memory growth. Count tokens without padding, and of this
    process alone or of all, but the same in every trial. Speeds compare only where nobody else was on the machine.

    warmup: steps at the beginning that are left out, 1 or more, since it is the end of the last of them from which time counts.
    synchronise: wait for the GPU in each tick; without that, ticks say when work was handed out, and not when it was done. Costs what the
        step would have overlapped with the next. clock: seconds that never go back.
    """

    def __init__(
        self,
        warmup: int = 10,
        *,
        synchronise: bool = True,
        clock: Callable[[], float] = time.perf_counter,
    ) -> None:
        if isinstance(warmup, bool) or not isinstance(warmup, int) or warmup < 1:
            raise InputError(
                f"{warmup!r} is not possible; use a whole number from 1: the steps before everything is warm",
                ("warmup",),
            )
        self._warmup, self._synchronise, self._clock = warmup, synchronise, clock
        self._ticks = 0
        self._last: float | None = None
        self._steps: list[float] = []
        self._tokens = self._sequences = 0.0

    def tick(self, *, tokens: float = 0, sequences: float = 0) -> None:
        """A step is done, in which there were so many; anything that `float` takes."""
        counted = float(tokens), float(sequences)
        if not all(0.0 <= count < float("inf") for count in counted):
            raise InputError(
                f"tick(tokens={tokens!r}, sequences={sequences!r}) counts what was done; give numbers from 0"
            )
        if self._synchronise:
            cuda.synchronise()
        now, before = self._clock(), self._last
        self._ticks, self._last = self._ticks + 1, now
        if self._ticks > self._warmup and before is not None:
            self._steps.append(now - before)
            self._tokens += counted[0]
            self._sequences += counted[1]

    def resume(self) -> None:
        """The next step begins now: what came since the last tick (an evaluation, a checkpoint) does not count."""
        if self._synchronise:
            cuda.synchronise()
        self._last = self._clock()

    @property
    def values(self) -> dict[str, float]:
        """`tokens_per_second`, `sequences_per_second` and `step_seconds` (the median), as far as they were counted; nothing before everything is warm."""
        took = sum(self._steps)
        if took <= 0.0:
            return {}
        found = {"step_seconds": statistics.median(self._steps)}
        if self._tokens:
            found["tokens_per_second"] = self._tokens / took
        if self._sequences:
            found["sequences_per_second"] = self._sequences / took
        return found
