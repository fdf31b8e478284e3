"""`taut.report` and `taut.should_checkpoint`: how a Python script that taut runs as a command talks with it.

Only the standard library is imported, so that a script may import this from any environment.
"""

from __future__ import annotations

import json
import os
import signal
from types import FrameType
from typing import SupportsFloat

__all__ = ["report", "should_checkpoint"]

_watching = False
_asked = False


def report(step: SupportsFloat | None = None, **metrics: SupportsFloat) -> bool:
    """Say how a trial is doing, or how it ended.

    Call it once at the end, or after each epoch with `step` if trials may be pruned; the last value
    of each metric counts as the trial's result. In a program that taut did not start it does nothing,
    so scripts need no switch. For a script that cannot import taut, append the same JSON line to the
    file named by ``$TAUT_REPORT``: ``{"step": 3, "eval_loss": 0.31}``.

    step: epoch, batch or other amount of training done so far; None for a result without one.
    metrics: anything `float` takes, NumPy and PyTorch scalars included; nan and inf are allowed here,
        and make the trial a failed one.

    Returns whether somebody listens. Raises TypeError for a value that is no number, and OSError if
    the file cannot be written.
    """
    path = os.environ.get("TAUT_REPORT")
    if not path:
        return False
    if not metrics:
        raise TypeError("taut.report() needs a metric, for instance taut.report(step=1, eval_loss=0.3)")
    line: dict[str, float] = {} if step is None else {"step": _number("step", step)}
    for name, value in metrics.items():
        line[name] = _number(name, value)
    data = json.dumps(line).encode() + b"\n"
    file = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o666)
    try:
        # One write: lines of several processes (ranks, data loaders) never mix.
        written = os.write(file, data)
        if written < len(data):
            raise OSError(
                f"only {written} of {len(data)} bytes could be written to {path}; is the disk full?"
            )
    finally:
        os.close(file)
    return True


def should_checkpoint() -> bool:
    """Whether the trial must make way soon: the end of a job is near, or it is preempted.

    Then save what is needed to go on into the directory ``$TAUT_CHECKPOINT_DIR`` and end: the trial goes on later,
    maybe on another machine, and finds the path of what was saved in ``$TAUT_RESUMED_FROM``. Cheap enough to be
    asked in every step. In a program that taut did not start it is always False.

    The first call, which has to come from the main thread, takes SIGUSR1, by which taut asks; a handler that was
    there is called as before. For a script that cannot import taut, catching SIGUSR1 is enough.
    """
    if not _watching and os.environ.get("TAUT_REPORT"):
        _watch()
    return _asked


def _watch() -> None:
    global _watching
    before = signal.getsignal(signal.SIGUSR1)

    def note(number: int, frame: FrameType | None) -> None:
        global _asked
        _asked = True
        if callable(before):
            before(number, frame)

    try:
        signal.signal(signal.SIGUSR1, note)
    except ValueError:  # not the main thread, which alone may do this; its own first call will
        return
    _watching = True


def _number(name: str, value: SupportsFloat) -> float:
    try:
        if isinstance(value, str):
            raise TypeError
        number = float(value)
    except (TypeError, ValueError, OverflowError, RuntimeError):
        # RuntimeError is what PyTorch raises for a tensor of several elements.
        raise TypeError(
            f"taut.report({name}=...): {value!r:.80} is not a number; give one that float() takes"
        ) from None
    return int(number) if isinstance(value, int) and not isinstance(value, bool) else number
