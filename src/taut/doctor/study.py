"""The study in a directory: whether its records are whole, and whether dead workers have left trials running."""

from __future__ import annotations

import os
from pathlib import Path

from taut.clock import WallClock
from taut.doctor.finding import Finding, some
from taut.errors import TautError
from taut.journal import FileJournal
from taut.snapshot import Snapshot
from taut.trial import State

__all__ = ["findings"]


def findings(directory: Path | None) -> list[Finding]:
    """Findings on the study in `directory`; none if there is no study."""
    if directory is None or not os.path.lexists(directory / "definition" / "0000.json"):
        return []
    journal = FileJournal(directory, WallClock())
    try:
        revisions = journal.revisions(0)
        snapshot = Snapshot(revisions[0])
        for definition in revisions[1:]:
            snapshot.revise(definition)
        for digest in {each.digest for definition in revisions for each in definition.warm_start}:
            journal.archive.read(digest)
        for batch in journal.poll(thorough=True):
            snapshot.apply(batch.writer, batch.events)
        torn = journal.torn()
        dead = _dead(journal, snapshot)
    except TautError as error:
        return [Finding("study", "fail", str(error))]
    except OSError as error:
        text = f"{error.filename or directory} cannot be read: {error.strerror}"
        return [Finding("study", "fail", text, "check its owner and permissions")]
    finally:
        journal.close()
    writers = len(snapshot.seen)
    found = [
        Finding(
            "study",
            "ok",
            f"{snapshot.definition.name}: {len(snapshot.known)} trials, {snapshot.n_finished} finished, "
            f"{writers} writer{'' if writers == 1 else 's'}",
        )
    ]
    if journal.problems:
        text = f"{len(journal.problems)} damaged: {some([str(problem) for problem in journal.problems])}"
        found.append(
            Finding("log lines", "fail", text, "they are skipped; mend them from a copy, and check this disk")
        )
    elif torn:
        text = f"whole, but for the end of {some([str(problem) for problem in torn])}"
        found.append(Finding("log lines", "ok", text, "a writer was stopped there, or is writing now"))
    else:
        found.append(Finding("log lines", "ok", "whole"))
    if dead:
        text = f"running in dead writers: {some(dead)}"
        found.append(
            Finding("running trials", "warn", text, f"a worker takes them over: taut worker {directory}")
        )
    return found


def _dead(journal: FileJournal, snapshot: Snapshot) -> list[str]:
    """The running trials of each dead writer, and why it must be dead."""
    trials: dict[int, list[int]] = {}
    for n in snapshot.where(State.RUNNING).tolist():
        trials.setdefault(int(snapshot.writer[n]), []).append(n)
    found = []
    for writer, numbers in sorted(trials.items()):
        try:
            loss = journal.lost(writer, snapshot.writers.get(writer))
        except OSError:  # for a writer on another host the log's folder must be writable
            continue
        if loss:
            listed = some([str(n) for n in numbers], ", ")
            found.append(
                f"trial{'' if len(numbers) == 1 else 's'} {listed} in {writer:04d}.jsonl ({loss.why})"
            )
    return found
