"""Evaluates trials by running the user's unchanged command, one process group for each."""

from __future__ import annotations

import errno
import os
import selectors
import signal
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from taut.commandline import OWN
from taut.errors import InputError, StudyError
from taut.executors.arguments import Template, step_text
from taut.executors.asking import members
from taut.executors.attempt import Attempt
from taut.executors.base import HEED, Died, Executor, Message, Outcome, Paused, Task
from taut.executors.environment import environment
from taut.executors.guardian import Guardian
from taut.executors.patching import copied_config
from taut.executors.places import ANYWHERE, Place, devices, pinned, quietest
from taut.executors.program import anchored, check_script, find_program
from taut.metrics.meters.watch import Watch, merged
from taut.readings import own
from taut.results import Sources

if TYPE_CHECKING:
    from taut.definition import Evaluation

__all__ = ["CommandExecutor"]

_GRACE = 1.5  # seconds between SIGTERM and SIGKILL in `stop`
_GONE = 0.4  # seconds that a killed process may take to vanish (it may hang in a file system)
_LOOK = (0.05, 0.5)  # seconds between two looks into growing files: after news, and at most
_ASK = (0.05, HEED)  # seconds between two looks for processes to ask: the first two, and later
_NAP = 0.005  # seconds between two looks for ended commands where the system cannot wake us


class CommandExecutor(Executor):
    """Runs a command for each trial: without a shell, in the trial's own directory.

    Choose it for scripts in any language, and for Python scripts that should stay as they are. Each
    trial pays for a new process and its imports; where they take longer than the training, a function
    (`Evaluation.function`) or a warm worker is better.

    evaluation: what to run and how its numbers come back; see `taut.definition.Evaluation`.
    base: absolute directory of study.toml; words of the command that name a file there are made absolute.
    slots: how many commands run at the same time.
    objectives, needed: metrics that must come back (needed: those that conditions name); a trial
        without one of them has failed.
    parameters: names of the space. Given, a configuration file without one of them is found here rather
        than in the first trial, and a placeholder that is none of them is the fidelity's name
        (`taut.commandline.check` lets no other pass): the step up to which the attempt is to run.
    places: the GPUs and CPUs of each slot; None leaves that to the commands.

    Raises `InputError`, before anything is started or written, for a program that does not exist, a
    wrong template, a configuration file without a parameter's key, or a wrong `[results]`.

    The command sees TAUT_TRIAL, TAUT_ATTEMPT, TAUT_PARAMS (JSON), TAUT_SEED, TAUT_TRIAL_DIR, TAUT_REPORT,
    TAUT_CHECKPOINT_DIR; TAUT_FIDELITY, the step up to which this attempt is to run, if the study has a fidelity; and,
    if an earlier attempt left a checkpoint, its place TAUT_RESUMED_FROM and TAUT_RESUMED_STEP, the last step that was
    reported before; the base first in PYTHONPATH, and /dev/null as its input. Asked to checkpoint, it gets SIGUSR1 if
    it catches that. Given up by the pruner, it gets SIGTERM, and SIGKILL if it is still there 5 s later; if it is to
    wait for its promotion it has up to a minute to save itself before that.
    """

    unaware = True

    def __init__(
        self,
        evaluation: Evaluation,
        *,
        base: Path,
        slots: int,
        objectives: Sequence[str],
        needed: Sequence[str] = (),
        parameters: Sequence[str] | None = None,
        places: Sequence[Place] | None = None,
    ) -> None:
        if not evaluation.command:
            raise InputError(
                'the command is empty; write for instance command = "python train.py {args}"', ("command",)
            )
        self.slots = slots
        self._slots = [ANYWHERE] * slots if places is None else list(places)
        assert len(self._slots) == slots, "each slot has its place"
        self._base = base
        self._wanted = own(list(dict.fromkeys([*objectives, *needed])))
        self._watch = Watch(devices(self._slots))
        self.gpus = any(place.gpus for place in self._slots)
        self._timeout = evaluation.timeout
        self._cwd = _directory(base, evaluation.cwd)
        self._sources = Sources(evaluation.results)

        check_script(evaluation.command, base, self._cwd)
        words = [anchored(word, base, self._cwd) for word in evaluation.command]
        self._template = Template(words, evaluation.style)
        self._program = find_program(self._template.program(str(base)), self._cwd or base)
        self._config = copied_config(evaluation, base, self._template.names, parameters)
        others = set() if parameters is None else self._template.names.difference(OWN, parameters)
        self._fidelity = next(iter(others), None)

        self.stopped: dict[tuple[int, int], dict[str, float]] = {}
        self._running: dict[int, Attempt] = {}  # by process number
        self._handles: dict[int, int] = {}  # pidfd by process number, where the system has them
        self._selector = selectors.DefaultSelector()
        self._ready: list[Message] = []
        self._guardian: Guardian | None = None
        self._gap = _LOOK[0]
        self._look_at = 0.0
        self._ask_at = 0.0

    def start(self, task: Task) -> None:
        """Begin `task`. A command that cannot be started with its parameters is a failed trial.

        Raises `StudyError` if no command can be started, for instance because the disk is full.
        """
        guardian = self._guardian = self._guardian or Guardian()
        try:
            directory = self.trial_directory(task)
            taken = {attempt.place for attempt in self._running.values()}
            place = quietest(self._slots, set(range(self.slots)) - taken)
            attempt = Attempt(task, directory, self._sources, self._timeout, place)
            places = self._places(task, directory)
        except OSError as error:
            raise StudyError(f"trial {task.number} cannot write its files: {error}") from error
        try:
            arguments = [self._program, *self._template.expand(task.params, places)[1:]]
            given = environment(attempt, directory, self._base, self.slots, self._slots[place])
            with pinned(self._slots[place].cpus):
                attempt.launch(arguments, self._cwd or directory, given | guardian.environment)
        except (OSError, ValueError) as error:  # ValueError: an InputError, or a null character
            why = error.strerror if isinstance(error, OSError) else error
            if isinstance(error, OSError) and error.errno != errno.E2BIG:
                raise StudyError(f"{self._program} cannot be started: {why}") from error
            self._ready.append(
                Outcome(task.number, task.attempt, {}, f"the command cannot be started: {why}")
            )
            return
        self._register(attempt)
        self._watch.begin((task.number, task.attempt), place, attempt.process.pid, time.monotonic())
        guardian.watch(attempt.process.pid)

    def poll(self, timeout: float) -> Sequence[Message]:
        """Reports while commands run, then an outcome for each; wakes within 10 ms of a command's end."""
        until = time.monotonic() + timeout
        while True:
            now = time.monotonic()
            for attempt in self._ended():
                self._finish(attempt)
            for attempt in self._running.values():
                if now >= attempt.deadline:
                    attempt.expire(now)
            self._watch.look(now)
            if now >= self._look_at:
                self._look(now)
            if now >= self._ask_at and self._asking:
                self._ask(now)
            if self._ready or now >= until:
                ready, self._ready = self._ready, []
                return ready
            self._wait(until)

    def end_early(self, number: int, attempt: int, save: bool) -> None:
        """End a command that still runs; one that has just ended by itself has its own outcome."""
        for each in self._running.values():
            if (each.task.number, each.task.attempt) == (number, attempt) and not each.ended():
                each.end_early(time.monotonic(), save)
                self._ask_at = 0.0

    def stop(self, kill: bool = False) -> None:
        for attempt in self._running.values():
            attempt.signal(signal.SIGKILL if kill else signal.SIGTERM)
        self._await_ends(_GONE if kill else _GRACE)
        if not kill and self._running:
            self.stop(kill=True)

    def close(self) -> None:
        if self._running:
            self.stop(kill=True)
        if self._guardian is not None:
            self._guardian.close()  # kills what even SIGKILL has not ended so far
            self._guardian = None
        for handle in self._handles.values():
            os.close(handle)
        self._handles.clear()
        self._running.clear()
        self._selector.close()

    def _places(self, task: Task, directory: Path) -> dict[str, str]:
        """Texts of taut's own placeholders; writes the patched configuration."""
        places = {"base": str(self._base), "trial": str(task.number), "trial_dir": str(directory)}
        if self._config is not None:
            copy = directory / self._config.name
            copy.write_text(self._config.patched(task.params), encoding="utf-8")
            places["config"] = str(copy)
        if self._fidelity is not None and task.goal is not None:
            places[self._fidelity] = step_text(task.goal)
        return places

    def _register(self, attempt: Attempt) -> None:
        pid = attempt.process.pid
        self._running[pid] = attempt
        self._gap, self._look_at = _LOOK[0], time.monotonic() + _LOOK[0]
        if hasattr(os, "pidfd_open"):
            try:
                self._handles[pid] = os.pidfd_open(pid)
            except OSError:  # Linux before 5.3, or no descriptor left
                return
            self._selector.register(self._handles[pid], selectors.EVENT_READ, pid)

    def _wait(self, until: float) -> None:
        """Sleep until a command ends, or something else is due."""
        due = min([until, *(attempt.deadline for attempt in self._running.values())])
        if self._running:
            due = min(due, self._look_at)
            due = min(due, time.monotonic() + HEED, self._ask_at if self._asking else due)
        pause = max(0.0, due - time.monotonic())
        if len(self._handles) < len(self._running):
            pause = min(pause, _NAP)
        if self._selector.get_map():
            self._selector.select(pause)
        else:
            time.sleep(pause)

    def _ended(self) -> list[Attempt]:
        if self._handles and len(self._handles) == len(self._running):
            pids = [key.data for key, _ in self._selector.select(0)]
            return [self._running[pid] for pid in pids]
        return [attempt for attempt in self._running.values() if attempt.ended()]

    def _look(self, now: float) -> None:
        """Read what commands have reported; seldom while nothing comes."""
        before = len(self._ready)
        for attempt in self._running.values():
            self._ready += attempt.reports(attempt.collector.news())
        self._gap = _LOOK[0] if len(self._ready) > before else min(2 * self._gap, _LOOK[1])
        self._look_at = now + self._gap

    @property
    def _asking(self) -> bool:
        return self.asked or any(attempt.saving for attempt in self._running.values())

    def _ask(self, now: float) -> None:
        """Ask for checkpoints; a second look soon after the first, see `Asking`."""
        groups = members()
        asked = [(pid, attempt) for pid, attempt in self._running.items() if self.asked or attempt.saving]
        soon = [attempt.ask(groups[pid], now) for pid, attempt in asked]
        self._ask_at = now + _ASK[0 if any(soon) else 1]

    def _finish(self, attempt: Attempt) -> None:
        """The command has ended: its last reports, then its outcome."""
        used = self._release(attempt)
        task, collector = attempt.task, attempt.collector
        self._ready += attempt.reports(collector.finish())
        values = collector.values
        error = attempt.failure()
        if error is None and not attempt.idle:
            error = next((collector.missing(name) for name in self._wanted if name not in values), None)
        aimed = self._fidelity is not None
        told = values if error is None else {}
        end: Message = Outcome(task.number, task.attempt, told, error, aimed=aimed, used=used)
        if attempt.ordered:  # also where it saved itself because the worker leaves: the order is written down
            if error is not None or not attempt.arrived:
                end = Outcome(task.number, task.attempt, values, pruned=True, aimed=aimed, used=used)
        elif self.asked and attempt.saved(complete=error is None):
            end = Paused(task.number, task.attempt, used=used)
        elif attempt.terminated:
            end = Died(task.number, task.attempt, "it was ended by SIGTERM", used=used)
        self._ready.append(end)

    def _release(self, attempt: Attempt) -> dict[str, float]:
        """Let go of what has ended; what meters read of it."""
        key, now = (attempt.task.number, attempt.task.attempt), time.monotonic()
        pid = attempt.process.pid
        attempt.reap()
        del self._running[pid]
        handle = self._handles.pop(pid, None)
        if handle is not None:
            self._selector.unregister(handle)
            os.close(handle)
        if self._guardian is not None:
            self._guardian.forget(pid)
        kernel = attempt.used(self._watch.saw(key, now))
        return merged(kernel, self._watch.end(key, now))

    def _await_ends(self, seconds: float) -> None:
        """Let commands end, without asking what they found: an interrupted trial has no result."""
        until = time.monotonic() + seconds
        while True:
            for attempt in self._ended():
                self.stopped[attempt.task.number, attempt.task.attempt] = self._release(attempt)
            if not self._running or time.monotonic() >= until:
                return
            self._wait(until)


def _directory(base: Path, cwd: str | None) -> Path | None:
    if cwd is None:
        return None
    path = base / cwd
    if not path.is_dir():
        raise InputError(f"the directory {cwd!r} does not exist (looked for {path})", ("cwd",))
    return path
