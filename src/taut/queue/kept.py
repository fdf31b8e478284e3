"""A learned model of waits as JSON: plain numbers, checked when they are read."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import msgspec
import numpy as np

from taut.errors import InputError
from taut.queue.calibration import Calibration
from taut.queue.known import Known
from taut.queue.records import Codes
from taut.space.prior import Floats

if TYPE_CHECKING:
    from taut.queue.waits import Waits

__all__ = ["from_json", "nothing", "rounded", "to_json"]

_FORMAT = 1
_NEVER = -1.0  # stands for a wait that is not over, which JSON has no number for


class _Kept(msgspec.Struct, frozen=True):
    """The columns of `Known` and the fields of `Waits`. crowd, crowds: None where nothing was known of recent waits."""

    format: int
    learned: float
    slopes: tuple[float, float]
    calibration: Calibration
    partitions: tuple[str, ...]
    crowds: list[tuple[float | None, float]]
    user: int
    jobs: int
    days: float
    came: list[float]
    wait: list[float]
    over: list[bool]
    size: list[float]
    walltime: list[float]
    recent: list[float | None]
    pending: list[float]
    partition: list[int]
    unit: list[int]
    asker: list[int]
    stands: list[float]
    burst: list[int]


def nothing() -> Known:
    """No job at all."""
    none, codes = np.zeros(0), np.zeros(0, dtype=np.int32)
    return Known(none, none, none > 0, np.zeros((0, 2)), np.zeros((0, 2)), codes, codes, codes, none, codes)


def rounded(known: Known) -> Known:
    """To what is kept, so that a model says the same before and after."""
    return replace(
        known,
        came=known.came.round(1),
        wait=known.wait.round(1),
        shape=known.shape.round(4),
        crowd=known.crowd.round(3),
        stands=known.stands.round(4),
    )


def to_json(waits: Waits) -> str:
    known = waits.known
    kept = _Kept(
        format=_FORMAT,
        learned=waits.learned,
        slopes=(float(waits.slopes[0]), float(waits.slopes[1])),
        calibration=waits.calibration,
        partitions=waits.partitions,
        crowds=[(None if np.isnan(a) else float(a), float(b)) for a, b in waits.crowd],
        user=waits.user,
        jobs=waits.jobs,
        days=float(waits.days),
        came=known.came.tolist(),
        wait=np.where(np.isinf(known.wait), _NEVER, known.wait).tolist(),
        over=known.over.tolist(),
        size=known.shape[:, 0].tolist(),
        walltime=known.shape[:, 1].tolist(),
        recent=[None if value != value else value for value in known.crowd[:, 0].tolist()],
        pending=known.crowd[:, 1].tolist(),
        partition=known.partition.tolist(),
        unit=known.unit.tolist(),
        asker=known.user.tolist(),
        stands=known.stands.tolist(),
        burst=known.burst.tolist(),
    )
    return msgspec.json.encode(kept).decode()


def from_json(text: str | bytes) -> dict[str, Any]:
    """The arguments of `Waits`."""
    try:
        kept = msgspec.json.decode(text, type=_Kept)
    except msgspec.MsgspecError as error:
        raise InputError(f"this is no model of waits that taut has kept ({error}); learn it again") from None
    if kept.format != _FORMAT:
        raise InputError(
            f"this model of waits has format {kept.format}, and {_FORMAT} is read here; learn it again, or use a newer taut"
        )
    columns: dict[str, Floats] = {name: np.array(getattr(kept, name), dtype=np.float64) for name in _COLUMNS}
    codes: dict[str, Codes] = {name: np.array(getattr(kept, name), dtype=np.int32) for name in _CODES}
    lengths = {len(getattr(kept, name)) for name in (*_COLUMNS, *_CODES, "over")}
    if len(lengths) != 1 or len(kept.crowds) != len(kept.partitions) or not _sound(columns, codes, kept):
        raise InputError("this model of waits is damaged: its columns do not fit together; learn it again")
    return {
        "known": Known(
            came=columns["came"],
            wait=np.where(columns["wait"] == _NEVER, np.inf, columns["wait"]),
            over=np.array(kept.over, dtype=np.bool_),
            shape=np.stack([columns["size"], columns["walltime"]], axis=1),
            crowd=np.stack([columns["recent"], columns["pending"]], axis=1),
            partition=codes["partition"],
            unit=codes["unit"],
            user=codes["asker"],
            stands=columns["stands"],
            burst=codes["burst"],
        ),
        "learned": kept.learned,
        "slopes": np.array(kept.slopes),
        "calibration": kept.calibration,
        "crowd": np.array(kept.crowds, dtype=np.float64).reshape(-1, 2),
        "partitions": kept.partitions,
        "user": kept.user,
        "jobs": kept.jobs,
        "days": kept.days,
    }


_COLUMNS = ("came", "wait", "size", "walltime", "recent", "pending", "stands")
_CODES = ("partition", "unit", "asker", "burst")


def _sound(columns: dict[str, Floats], codes: dict[str, Codes], kept: _Kept) -> bool:
    """Whether the numbers can be what `to_json` wrote."""
    return (
        bool((columns["stands"] > 0).all() and (codes["burst"] >= 0).all())
        and bool(((columns["wait"] >= 0) | (columns["wait"] == _NEVER)).all())
        and min(kept.calibration.low, kept.calibration.high) > 0
        and 0 <= kept.calibration.correlation < 1
    )
