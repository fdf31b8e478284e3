"""One command that runs: its files, its process group, and what is to be said of its end."""

from __future__ import annotations

import contextlib
import math
import os
import signal
import subprocess
import time
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path

from taut import checkpoints
from taut.executors.asking import Asking, Contents, contents
from taut.executors.base import Report, Task
from taut.executors.memory import Memory
from taut.executors.shortage import shortage
from taut.resultlines import Row
from taut.results import Collector, Sources

__all__ = ["Attempt"]

_LAST_LINES = 20
_LAST_BYTES = 1 << 16
_GRACE = 1.0  # seconds between SIGTERM and SIGKILL after a timeout
_PATIENCE = 5.0  # the same where the pruner ends it
_SAVING = 60.0  # seconds in which a command that is to wait may save itself and end
_AGAIN = 75  # EX_TEMPFAIL in sysexits.h: "the user is invited to retry"
# By a signal, and as a shell in between says that its child was.
_TERMINATED = (-signal.SIGTERM, 128 + signal.SIGTERM)
_KILLED = (-signal.SIGKILL, 128 + signal.SIGKILL)
_NUMBER_STAYS = hasattr(os, "waitid")


class Attempt:
    """A running command in a session and process group of its own.

    `process.pid` is also the number of the group. Whoever sees the command's end calls `reap` once.
    """

    def __init__(
        self,
        task: Task,
        directory: Path,
        sources: Sources,
        timeout: float | None,
        place: int,
    ) -> None:
        suffix = f".{task.attempt}" if task.attempt else ""
        self.task = task
        self.place = place
        self.checkpoint = checkpoints.place(directory, task.attempt)
        self.checkpoint.mkdir(exist_ok=True)
        self.stdout = directory / f"stdout{suffix}"
        self.stderr = directory / f"stderr{suffix}"
        self.report = directory / f"report.jsonl{suffix}"
        self.report.unlink(missing_ok=True)  # this attempt may have been begun before
        self.stdout.unlink(missing_ok=True)
        self.collector: Collector = sources.collect(directory, self.report, self.stdout)
        self.process: subprocess.Popen[bytes]
        self._timeout = timeout
        self._timed_out = False
        self._began = math.inf
        self._told_to_end = False  # whether it has got SIGTERM from us
        self._memory = Memory()
        self._asking = Asking()
        self._before: Contents | None = None  # in the checkpoint directory when first asked
        self._furthest = -math.inf  # step that it has reported
        self._came_at = math.inf  # the first step that it has reported at its goal or beyond
        self.deadline = math.inf
        """When `expire` must be called, on the monotonic clock."""
        self.ordered = False
        """Whether the pruner has ended it, with `end_early`."""
        self.saving = False
        """Whether it may save itself before it ends, and so has to be asked to."""

    def launch(self, arguments: Sequence[str], cwd: Path, environment: Mapping[str, str]) -> None:
        """Start the command. Raises OSError or ValueError if the system refuses it."""
        with open(self.stdout, "wb") as stdout, open(self.stderr, "wb") as stderr:
            self.process = subprocess.Popen(
                arguments,
                cwd=cwd,
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=stdout,
                stderr=stderr,
                start_new_session=True,
            )
        self._began = time.monotonic()
        if self._timeout is not None:
            self.deadline = self._began + self._timeout

    def ended(self) -> bool:
        """Whether the command has ended. Its number stays taken until `reap` where the system can do that."""
        if self.process.returncode is not None:  # an interrupt came between `reap` and what follows it
            return True
        if _NUMBER_STAYS:
            found = os.waitid(os.P_PID, self.process.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT)
            return found is not None
        return self.process.poll() is not None

    def signal(self, number: signal.Signals) -> None:
        """Send a signal to the whole group."""
        with contextlib.suppress(ProcessLookupError, PermissionError):  # macOS: EPERM for zombies
            os.killpg(self.process.pid, number)

    def expire(self, now: float) -> None:
        """The deadline has passed: ask the group to end; at the next deadline kill it."""
        self.signal(signal.SIGKILL if self._told_to_end else signal.SIGTERM)
        self.deadline = math.inf if self._told_to_end else now + (_PATIENCE if self.ordered else _GRACE)
        self._timed_out |= not self.ordered
        self._told_to_end, self.saving = True, False

    def end_early(self, now: float, save: bool) -> None:
        """The pruner wants it to end: at once, or (save) when it has saved itself, for which `ask` has to be called.

        Of an order and the timeout what comes first says what becomes of the trial. After an order the timeout still
        ends the time for saving.
        """
        if self._told_to_end:
            return
        self.ordered, self.saving = True, save
        if save:
            self.deadline = min(self.deadline, now + _SAVING)
        else:
            self.expire(now)

    def ask(self, members: Collection[int], now: float) -> bool:
        """Ask the command to checkpoint; call it again and again, for processes that listen only later.

        members: the numbers of all processes in its group. Returns whether the next look should come soon.

        A command that is to wait, and in which nobody listens, is ended. But where it has just come to the step up to
        which it was to run it may know that, and be about to save itself: it has its time until it goes on.
        """
        if self._before is None:
            self._before = contents(self.checkpoint)
        self._asking.look(members)
        if self.saving and self._asking.in_vain and self._furthest != self._came_at:
            self.expire(now)
        return self._asking.begun

    @property
    def arrived(self) -> bool:
        """Whether it has come as far as it was to run, if that is known."""
        return self.task.goal is None or self._furthest >= self.task.goal

    @property
    def idle(self) -> bool:
        """Whether it had nothing left to do: an earlier attempt had come as far as this one was to run, which has reported nothing."""
        task = self.task
        ahead = task.goal is None or task.step is None or task.step < task.goal
        return not ahead and self._furthest == -math.inf

    def saved(self, complete: bool) -> bool:
        """Whether the command, which was asked and has ended, can go on from what it left.

        complete: whether it ended well and gave its result. Then it has finished, unless it saved
        something since it was asked.
        """
        now = contents(self.checkpoint)
        if not any(checkpoints.whole(self.checkpoint)) or self._timed_out:
            return False
        again = not complete or self.process.returncode == _AGAIN
        return again or (self._before is not None and now != self._before)

    @property
    def terminated(self) -> bool:
        """Whether somebody else ended it with SIGTERM, as Slurm does to all processes of a job."""
        return not self._timed_out and self.process.returncode in _TERMINATED

    def reap(self) -> None:
        """Kill what is left of the group (data loaders, servers), then let its number go."""
        self.signal(signal.SIGKILL)
        self._memory.wait(self.process)

    def used(self, seen: bool) -> dict[str, float]:
        """What the kernel has counted of the command, which has ended. seen: whether its memory was looked at often enough meanwhile."""
        return self._memory.used(seen)

    def reports(self, rows: Sequence[Row]) -> list[Report]:
        task, goal = self.task, self.task.goal
        found = [
            Report(task.number, task.attempt, row.step, row.values) for row in rows if row.step is not None
        ]
        for report in found:
            self._furthest = max(self._furthest, report.step)
            if goal is not None and report.step >= goal:
                self._came_at = min(self._came_at, report.step)
        return found

    def failure(self) -> str | None:
        """Why the ended command failed, with its last lines; None if it ended well."""
        if self._timed_out:
            why = f"timed out after {self._timeout:g} s"
        elif self.process.returncode:
            why = self._ending(self.process.returncode)
        else:
            return None
        lines = _last_lines(self.stderr) or _last_lines(self.stdout)
        found = None if self._timed_out else shortage("\n".join(lines))
        return "\n".join([f"{found} ({why})" if found else why, *lines])

    def _ending(self, code: int) -> str:
        killed, ran_out = code in _KILLED, self._memory.ran_out
        if ran_out and killed:
            return f"ran out of memory{self._memory.amounts}"
        if code > 0:
            why = f"exit code {code}" + (" (killed by SIGKILL; out of memory?)" if killed else "")
            return f"{why}; memory ran out meanwhile{self._memory.amounts}" if ran_out else why
        return f"killed by {_name(-code)}" + (" (out of memory?)" if killed and ran_out is None else "")


def _name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"


def _last_lines(path: Path) -> list[str]:
    """The last lines with text; of a progress bar only its last state."""
    try:
        with open(path, "rb") as file:
            file.seek(max(0, os.fstat(file.fileno()).st_size - _LAST_BYTES))
            text = file.read().decode(errors="replace")
    except OSError:
        return []
    lines = [line.rstrip("\r").rpartition("\r")[2].rstrip() for line in text.split("\n")]
    return [line for line in lines if line][-_LAST_LINES:]
