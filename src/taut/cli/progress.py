"""What `taut run` says while it works, and at its end."""

from __future__ import annotations

import contextlib
import shlex
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

import click

from taut.cli import fronts, pruning
from taut.cli.common import metrics_text, value_text, warm_start_text
from taut.duration import in_words
from taut.leading import nearest_miss
from taut.metrics.pareto import Front
from taut.study import Study
from taut.trial import State, TrialRecord

__all__ = ["Progress", "epilogue"]

_EVERY = 0.25  # seconds between two drawings of the live line


class Progress:
    """Says what happened: one line for each finished trial, or one live line on a terminal."""

    def __init__(self, study: Study, folder: Path, workers: int) -> None:
        self._study = study
        self._folder = folder
        self._workers = workers
        self._live: Any = None
        self._bar: Any = None
        self._drawn = 0.0
        self._best = -1
        self._front = len(study.definition.objectives) > 1 and study.definition.prefer is None
        self._began, self._decided_before = time.monotonic(), 0

    def __enter__(self) -> Progress:
        snapshot = self._study.snapshot
        self._began = time.monotonic()
        self._decided_before = snapshot.n_finished + len(snapshot.waiting)
        self._note_best()
        before = f", {snapshot.n_finished} finished before" if snapshot.n_finished else ""
        workers = f"{self._workers} worker{'s' if self._workers > 1 else ''}"
        click.echo(
            f"study {self._study.definition.name} in {self._folder}: {_goal(self._study)}, {workers}{before}"
        )
        if line := warm_start_text(self._study.definition):
            click.echo(line)
        if sys.stdout.isatty():
            from rich.live import Live

            self._live = Live(self._text(), auto_refresh=False, transient=True)
            self._live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._live is not None:
            with contextlib.suppress(OSError):
                self._live.stop()

    # The study goes on, whatever becomes of the terminal or pipe that it talks to.

    def _say(self, text: str) -> None:
        with contextlib.suppress(OSError):
            click.echo(text)

    def _draw(self, line: str | None = None) -> None:
        with contextlib.suppress(OSError):
            if line is not None:
                self._live.console.print(line, highlight=False, markup=False)
            self._live.update(self._text(), refresh=True)

    def told(self, numbers: Sequence[int]) -> None:
        """These trials, often none, have just finished."""
        note_of = self._notes() if numbers else {}
        for record in self._study.store.snapshot.records(numbers) if numbers else ():
            note = note_of.get(record.number, "")
            if self._live is None:
                self._say(self._line(record, note))
            elif note or not self._expected(record):
                self._draw(self._line(record, note))
        if self._live is not None and time.monotonic() - self._drawn > _EVERY:
            self._drawn = time.monotonic()
            self._draw()

    def _expected(self, record: TrialRecord) -> bool:
        """Whether the trial ended as most do, so that a terminal needs no line for it."""
        return record.state in ("complete", "pruned") or record.number in self._study.store.snapshot.waiting

    def _notes(self) -> dict[int, str]:
        """What is said of trials that matter: of a new best one, or of the front where nobody says which of several objectives is to count."""
        if self._front:
            return dict.fromkeys(Front.of(self._study.store.snapshot).numbers.tolist(), "on the front so far")
        return {self._best: "best so far"} if self._note_best() else {}

    def _line(self, record: TrialRecord, note: str) -> str:
        took = f"{record.spent:.1f} s" if record.finished is not None or record.spent else ""
        if record.state == "waiting":
            return f"trial {record.number} goes back to the queue: {last_line(record.error)}"
        if record.state == "failed":
            return f"trial {record.number} failed after {took}: {last_line(record.error)}"
        if (place := pruning.place_text(self._study, record)) is not None:
            return f"trial {record.number} {place}  {took}"
        return f"trial {record.number} {record.state}  {metrics_text(record.values)}  {took}{note and '  '}{note}"

    def _note_best(self) -> bool:
        ranking = self._study.ranking[:1]
        better = bool(ranking) and ranking[0] != self._best
        if better:
            self._best = ranking[0]
        return better

    def _text(self) -> str:
        snapshot = self._study.store.snapshot
        finished, running = snapshot.n_finished, snapshot.counts[State.RUNNING]
        trials = self._study.definition.budget.trials
        of = f" of {trials}" if trials and trials >= finished else ""
        noun = "trial" if (trials if of else finished) == 1 else "trials"
        waiting = len(snapshot.waiting)
        also = f", {waiting} waiting to be promoted" if waiting else ""
        parts = [f"{finished}{of} {noun} finished, {running} running{also}"]
        if self._front and (count := len(Front.of(snapshot).numbers)):
            parts.append(f"{count} on the front")
        elif self._best >= 0:
            values = snapshot.records([self._best])[0].values
            main = self._study.definition.objectives[0].metric
            parts.append(f"best {main}={value_text(values[main])} (trial {self._best})")
        elif (promising := pruning.leads(self._study)) is not None:
            parts.append(f"none complete; {promising}")
        decided = finished + waiting
        done = decided - self._decided_before
        if trials and trials >= decided and done > 0:
            left = (trials - decided) * (time.monotonic() - self._began) / done
            parts.append(f"about {in_words(left)} left")
        return "  ".join(parts)


def _goal(study: Study) -> str:
    aims = " and ".join(
        f"{'minimize' if o.minimize else 'maximize'} {o.metric}" for o in study.definition.objectives
    )
    if study.definition.prefer is not None:
        aims += f" (preferring {study.definition.prefer})"
    trials = study.definition.budget.trials
    return f"{aims}, {trials} trial{'s' if trials > 1 else ''}" if trials else aims


def last_line(error: str | None) -> str:
    """The line that says most: the last of a traceback or of a program's output, else the first."""
    lines = [line for line in (error or "").splitlines() if line.strip()]
    if not lines:
        return "no reason is known"
    output = lines[0].startswith(("Traceback", "exit code", "killed by", "timed out"))
    return lines[-1 if output else 0].strip()


def epilogue(study: Study, folder: Path, why: str, seconds: float) -> int:
    """The last words of a run, and its exit code: 1 if no trial is complete although some have finished."""
    snapshot = study.snapshot
    counts = ", ".join(pruning.counted(snapshot, finished=True))
    click.echo(f"{why} ({counts or 'none finished'}) after {in_words(seconds)}")
    if saved := pruning.summary(study, folder):
        click.echo(saved)
    ranking = study.ranking
    if not ranking:
        return _nothing(study, folder)
    shown = ranking[:1]
    if fronts.several(study.definition):
        click.echo("\n".join(fronts.block(study)))
        shown = [pick.number for pick in fronts.picks(snapshot)] or shown
    else:
        record = study.best
        click.echo(f"best: {pruning.best_text(study, record)}")
        for name, value in record.params.items():
            click.echo(f"  {name} = {value_text(value)}")
    click.echo(f"look at:  {folder}  (the study)")
    for number in dict.fromkeys(shown):
        place = folder / "trials" / str(number)
        if place.is_dir():
            click.echo(f"          {place}  (output of trial {number})")
    click.echo(f"          {shlex.join(['taut', 'trials', str(folder)])}  (every trial)")
    return 0


def _nothing(study: Study, folder: Path) -> int:
    snapshot = study.snapshot
    failed = snapshot.where(State.FAILED)
    if len(failed):
        record = snapshot.records(failed[-1:])[0]
        click.echo(f"the study failed: none of its trials is complete. Trial {record.number} said:", err=True)
        click.echo(record.error or "", err=True)
        click.echo(f"mend the script, then start anew with another --dir (this one: {folder})", err=True)
        return 1
    if missed := nearest_miss(snapshot):
        click.echo(missed, err=True)
        return 1
    if promising := pruning.leads(study):
        click.echo(f"no trial is complete yet; {promising}")
    return 0
