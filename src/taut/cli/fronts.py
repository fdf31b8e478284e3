"""What the commands say of several objectives: the front, how good it is, and which of its trials to take, with the reason."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import msgspec
import numpy as np

from taut.cli import pruning
from taut.cli.common import value_text
from taut.definition import Definition, Objective
from taut.metrics.hypervolume import affordable
from taut.metrics.knee import knee
from taut.metrics.pareto import Front, best_first, losses, reference_of, volume
from taut.preference import Rank
from taut.preferred import tiers
from taut.snapshot import Snapshot
from taut.study import Study

__all__ = ["Pick", "as_json", "block", "brief", "picks", "several"]

_SHOWN = 20  # rows of the front
_FAR_UP, _FAR_DOWN = 3.0, 0.1  # from where on a change is told as a factor


class Pick(NamedTuple):
    """A trial to look at. why: what is special about it. against: what it gives and takes beside the best of each objective."""

    name: str
    number: int
    why: str
    against: list[str]


def several(definition: Definition) -> bool:
    """Whether there is a front to show: of several objectives, or of an objective and the cost of trials."""
    return len(definition.objectives) > 1 or definition.sampler.options.get("aim") == "front"


def block(study: Study) -> list[str]:
    """The front, trial by trial; its hypervolume; the best trial if the study has a preference, and the knee."""
    snapshot = study.snapshot
    front, found = Front.of(snapshot), picks(snapshot)
    lines = [*_table(snapshot, front, found), *_volume_lines(snapshot, front)]
    for pick in found:
        again = pick.number == found[0].number and pick is not found[0]
        lines.append(f"{pick.name}: trial {pick.number}{', too' if again else ''}, {pick.why}")
        lines += [f"  against {text}" for text in pick.against if not again]
    for pick in found[:1]:
        (record,) = snapshot.records([pick.number])
        lines.append(pruning.best_text(study, record))
        lines += [f"  {name} = {value_text(value)}" for name, value in record.params.items()]
    return lines


def brief(snapshot: Snapshot) -> str:
    """The front in one line."""
    front = Front.of(snapshot)
    if not front.among:
        return _unknown(front)
    spread = ", ".join(
        f"{name} {value_text(values[0])}"
        + (f" to {value_text(values[-1])}" if values[0] < values[-1] else "")
        for name, values in ((axis.metric, sorted(_column(front, j))) for j, axis in enumerate(front.axes))
    )
    return f"front: {_trials(len(front.numbers))}, {spread}"


def as_json(study: Study) -> dict[str, Any]:
    """The same for programs: the records of the whole front, its hypervolume, the best trial and the knee."""
    snapshot = study.snapshot
    front, definition = Front.of(snapshot), snapshot.definition
    known = {pick.name: pick for pick in (*picks(snapshot), _best(snapshot, front))}
    worth = len(definition.objectives) > 1 and affordable(len(front.numbers), len(definition.objectives))
    return {
        "front": [msgspec.to_builtins(record) for record in snapshot.records(front.numbers)],
        "hypervolume": volume(snapshot) if worth else None,
        "reference": {"values": reference_of(snapshot), "stated": bool(definition.reference)},
        **{name: _plain(known[name]) if name in known else None for name in ("best", "knee")},
    }


def _plain(pick: Pick) -> dict[str, Any]:
    return {"number": pick.number, "reason": pick.why, "against": pick.against}


# ---------------------------------------------------------------------- which trial, and why


def picks(snapshot: Snapshot) -> list[Pick]:
    """The trials of the front to look at first: the best, if it was said what is preferred; the knee, if there is one."""
    front = Front.of(snapshot)
    found = [] if snapshot.definition.prefer is None or not front.among else [_best(snapshot, front)]
    row = knee(front.loss)
    if row is not None:
        how = "farthest from the line between its ends"
        if len(front.axes) > 2:
            how = "by the sum of the objectives, each scaled by its range on the front"
        number = int(front.numbers[row])
        found.append(Pick("knee", number, f"where the front bends most: {how}", _against(front, row)))
    return found


def _best(snapshot: Snapshot, front: Front) -> Pick:
    definition, number = snapshot.definition, best_first(snapshot)[0]
    rows = np.flatnonzero(front.numbers == number)  # none, if another one is as good at less cost
    against = _against(front, int(rows[0])) if len(rows) else []
    return Pick("best", number, _why(definition, losses(snapshot)[1]), against)


def _why(definition: Definition, table: np.ndarray[Any, np.dtype[np.float64]]) -> str:
    """What makes the best trial the best. table: the losses of all good trials."""
    prefer, objectives = definition.prefer, definition.objectives
    if prefer is None:
        first = f"{_most(objectives[0])} {objectives[0].metric}"
        return first if len(objectives) == 1 else f"{first}, the first objective; no preference is stated"
    if prefer.weights:
        return f"the best weighted sum, {prefer}, each scaled by its range on the front"
    conditions: list[str] = []
    among = len(table)
    for rank, tier in zip(
        prefer.order, tiers(prefer, [one.metric for one in objectives], table), strict=True
    ):
        objective = objectives[tier.column]
        best = tier.best if objective.minimize else -tier.best
        count, last = int(tier.left.sum()), rank is prefer.order[-1]
        if last or (count == 1 and not rank.within):
            of = f" of the {among} trials with {' and '.join(conditions)}" if conditions else ""
            return f"{_most(objective)} {rank.metric}{of}"
        conditions.append(_condition(rank, objective, best))
        if count == 1:
            break
        among = count
    return f"the only one with {' and '.join(conditions)}"


def _condition(rank: Rank, objective: Objective, best: float) -> str:
    if not rank.within:
        return f"the {_most(objective)} {rank.metric}, {value_text(best)}"
    if rank.relative and best == 0.0:
        return f"{rank} of the {_most(objective)}, 0 (a share of 0 is nothing: give a tolerance in the metric's unit)"
    return f"{rank} of the {_most(objective)}, {value_text(best)}"


def _against(front: Front, row: int) -> list[str]:
    """What the trial in `row` gives and takes beside the best on each axis."""
    mine = front.values(row)
    lines = []
    for j, axis in enumerate(front.axes):
        end = int(front.loss[:, j].argmin())
        if (front.loss[end] == front.loss[row]).all():
            continue
        theirs = front.values(end)
        changes = ", ".join(_change(name, theirs[name], value) for name, value in mine.items())
        lines.append(f"trial {front.numbers[end]} ({_most(axis)} {axis.metric}): {changes}")
    return lines


def _change(name: str, before: float, after: float) -> str:
    if before == after:
        return f"the same {name}"
    word = "higher" if after > before else "lower"
    if before * after <= 0.0:  # a share of nothing, or of the other sign, says nothing
        return f"{name} {value_text(abs(after - before))} {word}"
    times = after / before
    if times >= _FAR_UP or times <= _FAR_DOWN:
        factor, word = max(times, 1.0 / times), "high" if after > before else "low"
        return f"{name} {factor:.{0 if factor >= 10.0 else 1}f} times as {word}"
    share = 100.0 * abs(times - 1.0)
    return f"{name} {share:.{0 if share >= 10.0 else 1 if share >= 1.0 else 2}f} % {word}"


def _most(objective: Objective) -> str:
    return "lowest" if objective.minimize else "highest"


# ---------------------------------------------------------------------- the front and its volume


def _unknown(front: Front) -> str:
    """Where trials are good and yet no front is known."""
    return f"front: no complete trial has told its {front.axes[-1].metric}"


def _table(snapshot: Snapshot, front: Front, found: Sequence[Pick]) -> list[str]:
    if not front.among:
        return [_unknown(front)]
    conditions = snapshot.definition.subject_to
    kept = f" that fulfil{'' if front.among > 1 else 's'} {' and '.join(conditions)}" if conditions else ""
    axes = " and ".join(f"{'minimize' if axis.minimize else 'maximize'} {axis.metric}" for axis in front.axes)
    lines = [f"front: {len(front.numbers)} of {front.among} complete {_noun(front.among)}{kept}, to {axes}"]
    shown = _rows(front, found)
    marks = {pick.number: pick.name for pick in reversed(found)}
    table = [["trial", *(axis.metric for axis in front.axes), "", "parameters"]]
    for row, record in zip(shown, snapshot.records(front.numbers[shown]), strict=True):
        values = [value_text(value) for value in front.values(row).values()]
        params = "  ".join(f"{name}={value_text(value)}" for name, value in record.params.items())
        table.append([str(record.number), *values, marks.get(record.number, ""), params])
    if not marks:
        table = [[*cells[:-2], cells[-1]] for cells in table]
    widths = [max(map(len, column)) for column in zip(*table, strict=True)]
    numbers = 1 + len(front.axes)
    for cells in table:
        sides = [
            cell.rjust(w) if i < numbers else cell.ljust(w)
            for i, (cell, w) in enumerate(zip(cells, widths, strict=True))
        ]
        lines.append("  " + "  ".join(sides).rstrip())
    if left := len(front.numbers) - len(shown):
        lines.append(f"  and {left} more between them (--json has all)")
    return lines


def _rows(front: Front, found: Sequence[Pick]) -> list[int]:
    """Which rows to show: of many, the ends, whom something is said of, and others evenly along the front."""
    count = len(front.numbers)
    if count <= _SHOWN:
        return list(range(count))
    named = np.flatnonzero(np.isin(front.numbers, [pick.number for pick in found])).tolist()
    named = sorted({*named, *front.loss.argmin(axis=0).tolist()})
    even = np.linspace(0, count - 1, max(_SHOWN - len(named), 0)).round().astype(int).tolist()
    return sorted({*even, *named})


def _volume_lines(snapshot: Snapshot, front: Front) -> list[str]:
    """The hypervolume and its reference; nothing where there is one objective."""
    objectives, stated = snapshot.definition.objectives, bool(snapshot.definition.reference)
    if len(objectives) < 2 or not front.among:
        return []
    point = ", ".join(f"{name} = {value_text(value)}" for name, value in reference_of(snapshot).items())
    if not affordable(len(front.numbers), len(objectives)):
        return [f"hypervolume: would take long; study.hypervolume() in Python works it out, from {point}"]
    source = "as the study states" if stated else f"the worst of {_trials(front.among)}; it moves with them"
    text = f"hypervolume: {value_text(volume(snapshot))} from {point} ({source})"
    if stated and (beyond := _beyond(snapshot, front)):
        verb = "is" if beyond == 1 else "are"
        text += f"; {_trials(beyond)} of the front {verb} not better than that and add{'s' if beyond == 1 else ''} nothing"
    return [text]


def _beyond(snapshot: Snapshot, front: Front) -> int:
    """How many trials of the front are not better than the reference in every objective."""
    values = [reference_of(snapshot)[one.metric] for one in snapshot.definition.objectives]
    signs = [1.0 if one.minimize else -1.0 for one in snapshot.definition.objectives]
    objectives = front.loss[:, : len(signs)]
    return int((objectives >= np.multiply(signs, values)).any(axis=1).sum())


def _column(front: Front, j: int) -> list[float]:
    column: list[float] = front.loss[:, j].tolist()
    return column if front.axes[j].minimize else [-value for value in column]


def _trials(count: int) -> str:
    return f"{count} {_noun(count)}"


def _noun(count: int) -> str:
    return "trial" if count == 1 else "trials"
