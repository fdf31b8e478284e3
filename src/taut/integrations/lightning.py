"""taut and Lightning: a callback by which a `Trainer` reports, stops where the pruner says so, makes way and goes on.

from taut.integrations.lightning import TautCallback

tuned = TautCallback(trial)                          # in a script that taut runs as a command: TautCallback()
trainer = lightning.Trainer(callbacks=[tuned], max_epochs=27)
trainer.fit(model, ckpt_path=tuned.ckpt_path)
"""

from __future__ import annotations

import importlib
import importlib.util
import math
import os
import sys
from pathlib import Path
from typing import Any, Literal

from taut import reporting
from taut.errors import InputError
from taut.resultlines import metric_name
from taut.trial import Trial

__all__ = ["TautCallback"]

_FILE = "lightning.ckpt"
_EVERY = 16  # batches between two questions whether to make way, where several ranks have to agree


def _bases() -> list[Any]:
    """The class `Callback` of the package that is in use: `lightning`, `pytorch_lightning`, or both."""
    names = ["lightning.pytorch", "pytorch_lightning"]
    used = [name for name in names if name in sys.modules]
    there = [name for name in names if importlib.util.find_spec(name.partition(".")[0])]
    if not there:
        raise InputError("this needs Lightning, which is not installed where taut is: pip install lightning")
    return [importlib.import_module(name).Callback for name in used or there[:1]]


class _Script:
    """The trial of a script that taut runs as a command: it speaks by `taut.report`, and is ended from outside."""

    def report(self, step: float, **values: float) -> None:
        reporting.report(step, **values)

    def should_stop(self) -> bool:
        return False

    def should_checkpoint(self) -> bool:
        return reporting.should_checkpoint()

    def pause(self) -> None:
        """Whoever was asked and has saved something is paused, once it ends."""

    @property
    def checkpoint_dir(self) -> Path | None:
        place = os.environ.get("TAUT_CHECKPOINT_DIR")
        return Path(place) if place else None

    @property
    def resumed_from(self) -> Path | None:
        place = os.environ.get("TAUT_RESUMED_FROM")
        return Path(place) if place else None


class TautCallback(*_bases()):  # type: ignore[misc]
    """Connects a `Trainer` with its trial.

    After each validation it reports all metrics that the module has logged (``val/loss`` as ``val_loss``), and asks whether to stop; a module
    without validation reports at the end of each epoch. When the trial has to make way it saves a checkpoint of the trainer, ends the
    training and pauses the trial. With several ranks rank 0 alone speaks, and all do what it hears.

    trial: of `study.run` or `study.work()`, or `taut.integrations.torch.run`; None in a script that taut runs as a command (elsewhere
        it then does nothing).
    step: what a step of the study's fidelity is: "epoch" (epochs done; a validation within one reports a fraction) or "step" (optimiser steps).
    checkpoint: whether a trial that is stopped saves a checkpoint, too. It costs the place on the disk, and is needed where trials
        that stop may go on later (a fidelity with ``resume = true``).
    """

    def __init__(
        self,
        trial: Trial | None = None,
        *,
        step: Literal["epoch", "step"] = "epoch",
        checkpoint: bool = True,
    ) -> None:
        super().__init__()
        if step not in ("epoch", "step"):
            raise InputError(f'{step!r} is not a step; use "epoch" or "step"', ("step",))
        self._trial: Any = _Script() if trial is None else trial
        self._shared = type(trial).__name__ == "SharedTrial"  # which all ranks have to ask, in the same order
        self._step = step
        self._checkpoint = checkpoint
        self._over = False
        self._fresh = False  # whether a validation has just ended, of which nothing was said yet
        self._trial.should_checkpoint()  # takes its signal now: Lightning leaves alone what has a handler

    @property
    def ckpt_path(self) -> str | None:
        """What an earlier attempt left, for ``trainer.fit(..., ckpt_path=...)``; None if there is nothing."""
        place = self._trial.resumed_from
        return str(place / _FILE) if place is not None and (place / _FILE).exists() else None

    # ------------------------------------------------------------------ what the trainer calls

    def on_fit_start(self, trainer: Any, pl_module: Any) -> None:
        self._over = False

    def on_validation_end(self, trainer: Any, pl_module: Any) -> None:
        if trainer.state.fn == "fit" and not trainer.sanity_checking:
            self._fresh = self._part(trainer) == 1.0
            if not self._fresh:  # at the end of an epoch there will be more to say: what was trained, too
                self._report(trainer)

    def on_train_epoch_end(self, trainer: Any, pl_module: Any) -> None:
        if self._fresh or not trainer.enable_validation:
            self._fresh = False
            self._report(trainer)

    def on_train_batch_end(self, trainer: Any, pl_module: Any, *_: Any) -> None:
        if self._over or (trainer.world_size > 1 and trainer.global_step % _EVERY):
            return
        asked = self._speaks(trainer) and self._trial.should_checkpoint()
        if self._agreed(trainer, asked) and self._save(trainer):
            if self._speaks(trainer):
                self._trial.pause()
            self._end(trainer)

    # ------------------------------------------------------------------ what it does

    def _report(self, trainer: Any) -> None:
        if self._over:
            return
        stop = False
        if self._speaks(trainer):
            metrics = {
                metric_name(name): float(value)
                for name, value in trainer.callback_metrics.items()
                if getattr(value, "numel", lambda: 1)() == 1
            }
            if metrics:
                self._trial.report(step=self._done(trainer), **metrics)
            stop = self._trial.should_stop()
        if self._agreed(trainer, stop):
            if self._checkpoint:
                self._save(trainer)
            self._end(trainer)

    def _done(self, trainer: Any) -> float:
        if self._step == "step":
            return float(trainer.global_step)
        return float(trainer.current_epoch) + self._part(trainer)

    def _part(self, trainer: Any) -> float:
        """How much of this epoch is done, from 0 to 1."""
        loop = trainer.fit_loop.epoch_loop.batch_progress
        batches = trainer.num_training_batches
        if loop.is_last_batch or not 0 < batches < math.inf:
            return 1.0 if loop.is_last_batch else 0.0
        return min(float(loop.current.ready / batches), 1.0)

    def _save(self, trainer: Any) -> bool:
        """Save a checkpoint where the next attempt will look; False for a study in memory, which has no place for it."""
        place = self._trial.checkpoint_dir if self._speaks(trainer) else None
        place = trainer.strategy.broadcast(None if place is None else str(place))
        if place is None:
            return False
        draft = Path(place) / f"{_FILE}.tmp"
        trainer.save_checkpoint(draft)
        if trainer.is_global_zero:
            draft.replace(Path(place) / _FILE)
        trainer.strategy.barrier("taut")
        return True

    def _end(self, trainer: Any) -> None:
        self._over = True
        trainer.should_stop = True

    def _speaks(self, trainer: Any) -> bool:
        return self._shared or bool(trainer.is_global_zero)

    def _agreed(self, trainer: Any, asked: bool) -> bool:
        """What rank 0 has heard, on every rank."""
        return bool(asked if trainer.world_size == 1 else trainer.strategy.broadcast(asked))
