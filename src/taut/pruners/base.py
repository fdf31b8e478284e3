"""What every pruner offers."""

from __future__ import annotations

import enum
import math
from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any, ClassVar

import numpy as np

from taut.definition import Definition
from taut.events import Descent
from taut.snapshot import Snapshot

__all__ = ["Judgement", "Pruner"]

_ETA = 3.0  # for steps at which to look where a pruner has none of its own


class Judgement(enum.Enum):
    """What a running trial is told. PAUSE: it frees its worker, and goes on if it is promoted later."""

    GO = "go"
    STOP = "stop"
    PAUSE = "pause"


class Pruner(ABC):
    """Judges trials by what they have reported; see `taut.pruners.registry` for the kinds.

    Everything is a pure function of the snapshot, so that every worker comes to the same and a study can be replayed.

    needs_fidelity: whether a study with it must name its fidelity. pauses: whether trials wait on rungs to be promoted.
    """

    needs_fidelity: ClassVar[bool] = False

    @property
    def pauses(self) -> bool:
        return False

    @abstractmethod
    def judge(self, snapshot: Snapshot, number: int, since: float = -np.inf) -> Judgement:
        """Whether the running trial `number` goes on after its latest report.

        since: the step at which this attempt was judged before; what was reported up to there has been looked at.
        """

    def promotable(self, snapshot: Snapshot, closing: bool = False) -> Sequence[int]:
        """Which of the waiting trials may go on, the first one first. closing: no new trials will come."""
        return ()

    def goal(self, snapshot: Snapshot, number: int) -> float | None:
        """The step up to which the next attempt of trial `number` is to run; None where nothing is known of steps."""
        fidelity = snapshot.definition.fidelity
        return None if fidelity is None else fidelity.max

    def rungs(self, definition: Definition) -> list[float]:
        """The steps at which trials are compared, the lowest first; none where the study has no fidelity."""
        return [] if definition.fidelity is None else definition.fidelity.rungs(getattr(self, "eta", _ETA))

    # ------------------------------------------------------------------ populations: trials take the place of others

    @property
    def founders(self) -> int:
        """How many trials a population begins with; they begin before any is promoted, and later ones take the place of others.

        0: there is no population, and any number of trials may begin at any time.
        """
        return 0

    def room(self, snapshot: Snapshot) -> float:
        """How many trials there may be by now, those that have ended included."""
        return math.inf

    def descent(self, snapshot: Snapshot, number: int) -> Descent | None:
        """Whose place trial `number`, no founder, takes if it begins now; None if there is no place for it."""
        return None

    def explored(self, snapshot: Snapshot, number: int, descent: Descent) -> dict[str, Any] | None:
        """The parameters of a trial that descends so; None leaves them to the sampler."""
        return None

    def account(self, snapshot: Snapshot) -> str | None:
        """What it does in this study and why, in one line; None if its name says it all."""
        return None

    def settled(self, definition: Definition) -> Pruner:
        """This pruner with what it leaves to the study settled. Raises `InputError` if it does not fit the study."""
        return self
