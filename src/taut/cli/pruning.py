"""What the commands say of a study whose trials may end early: who waits, who leads, what was saved."""

from __future__ import annotations

from pathlib import Path

from taut.cli.common import metrics_text, value_text
from taut.duration import in_words
from taut.leading import leader, short
from taut.lineage import alone, lineage, schedule
from taut.pruners.base import Pruner
from taut.savings import Rung, Savings, savings
from taut.snapshot import Snapshot
from taut.study import Study
from taut.trial import State, TrialRecord

__all__ = ["account", "best_text", "counted", "descent_text", "leads", "lines", "place_text", "summary"]

Said = tuple[str, str]
"""A line, and what of it is news if it changes: seconds that run on are not."""


def counted(snapshot: Snapshot, finished: bool = False) -> list[str]:
    """How many trials are in each state; those that wait on a rung are told apart from interrupted ones.

    finished: only those that are finished or wait on a rung.
    """
    told: list[str] = []
    for state in State:
        count = snapshot.counts[state]
        if state == State.PAUSED:
            count -= len(snapshot.waiting)
        if count and state and (state.finished or not finished):
            told.append(f"{count} {state.name.lower()}")
        if state == State.PAUSED and snapshot.waiting:
            told.append(f"{len(snapshot.waiting)} waiting{'' if finished else ' to be promoted'}")
    return told


def leads(study: Study) -> str | None:
    """Who promises most while no trial is complete; None if one is, or nothing was reported."""
    snapshot = study.store.snapshot
    if snapshot.counts[State.COMPLETE]:
        return None
    found = leader(snapshot, _pruner(study))
    return None if found is None else str(found)


def best_text(study: Study, record: TrialRecord) -> str:
    """A best trial with its metrics; where its last report came before the end of a whole one, that is said."""
    at = short(study.store.snapshot, record.number)
    note = "" if at is None else f"  (its last report: {at})"
    return f"trial {record.number}  {metrics_text(record.values)}{note}"


def descent_text(study: Study, record: TrialRecord) -> str | None:
    """The trials that a trial descends from, and how parameters changed on the way; None if it descends from none."""
    snapshot, fidelity = study.store.snapshot, study.definition.fidelity
    line = lineage(snapshot, record.number)
    step = "step" if fidelity is None else fidelity.name
    lost, told = snapshot.descents.get(line[0].number), []
    if len(line) > 1:
        parents = " <- ".join(f"{each.number} ({step} {each.end:g})" for each in reversed(line[:-1]))
        changes = (f"{name} {' -> '.join(map(value_text, row))}" for name, row in schedule(line).items())
        told.append(f"descends from {parents}: {', '.join(changes)}")
    if lost is not None and alone(snapshot, line[0].number):
        who = f"{line[0].number} " if told else ""
        told.append(f"{who}was to go on from {lost.parent} ({step} {lost.step:g}), whose checkpoint was gone")
    return "; ".join(told) or None


def place_text(study: Study, record: TrialRecord) -> str | None:
    """Where a trial stands that waits or was stopped, and what it told or reported last; None for others."""
    snapshot, fidelity, number = study.store.snapshot, study.definition.fidelity, record.number
    waits = number in snapshot.waiting
    if not waits and snapshot.state[number] != State.PRUNED:
        return None
    last = snapshot.curves.last(number)
    step = snapshot.waiting[number] if waits else None if last is None else last.s
    at = "" if step is None else f" at {f'step {step:g}' if fidelity is None else fidelity.told(step)}"
    reported = {} if last is None else last.y
    values = record.values or {name: value for name, value in reported.items() if value is not None}
    told = f"  {metrics_text(values)}" if values else ""
    return f"{'waits' if waits else 'pruned'}{at}{told}"


def account(study: Study) -> str:
    """The pruner's name, and what it does in this study where that is more than its name says."""
    method = study.definition.pruner
    assert method is not None, "only asked of studies that have one"
    try:
        pruner = study.store.proposals.pruner
        text = None if pruner is None else pruner.account(study.store.snapshot)
    except Exception as error:  # a pruner may be anybody's; what else is known of the study is worth showing
        text = f"it cannot say what it does ({type(error).__name__}: {error})"
    return f"{method.method}: {' '.join(text.split())}" if text else method.method


def lines(study: Study, folder: Path) -> list[Said]:
    """The rungs, and what was saved; nothing for studies without a pruner, or before anything has ended early."""
    if study.definition.pruner is None or not len(study.store.snapshot.known):
        return []
    found, hours = _savings(study, folder)
    line = _saved_text(found, hours)
    return [*_table(study, found, hours), *([(line, "")] if line else [])]


def _pruner(study: Study) -> Pruner | None:
    try:
        return study.store.proposals.pruner
    except Exception:  # it is not installed here, say; `account` tells why
        return None


def _savings(study: Study, folder: Path) -> tuple[Savings, bool]:
    """The account, and whether it is one of GPUs."""
    gpus: dict[int, float] = {}
    if (folder / "slurm").is_dir():
        from taut.cli import jobs

        gpus = jobs.gpu_shares(study, folder)
    store = study.store
    return savings(store.snapshot, _pruner(study), store.clock.now(), gpus or None), bool(gpus)


def summary(study: Study, folder: Path) -> str | None:
    """What was saved, in one line; None for studies without a pruner, or if no trial has ended early."""
    return None if study.definition.pruner is None else _saved_text(*_savings(study, folder))


def _saved_text(found: Savings, hours: bool) -> str | None:
    """What was saved, in one line; None if no trial has ended early."""
    if not found.early and not found.replaced:
        return None
    early = f"{found.early} of {found.trials} trials ended early"
    if found.replaced:
        text = f"{found.replaced} of {found.trials} trials gave up their places to copies of better ones"
    elif found.net is None or found.full is None:
        text = f"{early}; what that saved cannot be told yet"
    elif found.net <= 0.0:
        text = f"nothing saved yet: {early}"
    else:
        part = f"{found.net / found.full:.0%}"
        text = f"saved about {_cost(found.net, hours)} of {_cost(found.full, hours)} ({part}): {early}"
    if found.equivalents:
        text += f"; what ran equals {_whole(found.equivalents)} whole trials"
    if found.repeated > 0.0:
        text += f"; {_cost(found.repeated, hours)} repeated for want of checkpoints"
    return text


def _whole(count: float) -> str:
    return f"{count:.3g}" if count < 1000 else f"{count:.0f}"


def _cost(seconds: float, hours: bool) -> str:
    return f"{seconds / 3600:.2f} GPU-h" if hours else in_words(seconds)


def _table(study: Study, found: Savings, hours: bool) -> list[Said]:
    fidelity = study.definition.fidelity
    if fidelity is None:
        return []
    head = [fidelity.name, "reached", "went on", "stopped", "waiting", "spent", "repeated", "saved"]
    rows = [_row(rung, rung is found.rungs[-1], hours) for rung in found.rungs]
    shown = [i for i in range(len(head)) if i < 3 or any(row[i] for row in rows)]
    table = [[row[i] for i in shown] for row in (head, *rows)]
    widths = [max(len(row[i]) for row in table) for i in range(len(shown))]
    texts = [
        "  " + "  ".join(text.rjust(width) for text, width in zip(row, widths, strict=True)).rstrip()
        for row in table
    ]
    return [(text, " ".join(row[:3])) for text, row in zip(texts, table, strict=True)]


def _row(rung: Rung, top: bool, hours: bool) -> list[str]:
    times = (rung.spent, rung.repeated, rung.saved or 0.0)
    counts = ("" if top else str(rung.went_on), str(rung.stopped or ""), str(rung.waiting or ""))
    return [
        value_text(rung.step),
        str(rung.reached),
        *counts,
        *(_cost(seconds, hours) if seconds > 0.0 else "" for seconds in times),
    ]
