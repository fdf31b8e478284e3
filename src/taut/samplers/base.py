"""What every sampler is: a pure function from what is known to what to try.

A sampler holds its options and nothing else that could change an answer: the same arguments give the
same proposals, on any worker, today and in a replay. Randomness comes from `(seed, trial number)`.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from taut.definition import Definition
from taut.events import Note
from taut.snapshot import Snapshot
from taut.space import Space

__all__ = ["Codes", "Note", "Numbers", "Sampler", "begun", "draw", "unheard"]

Codes = NDArray[np.float64]
Numbers = NDArray[np.int64]


class Sampler(ABC):
    """Proposes parameters for trials; see `taut.samplers.registry` for the kinds.

    uses_history: whether proposals depend on other trials. If not, `propose` takes no snapshot, can be
    asked for any number at any time, and needs no study: that is what `taut sample --index I` prints.
    uses_past: whether it learns from earlier studies, too (`warm_start`); if not, whoever gives some is told so.
    """

    uses_history: ClassVar[bool] = False
    uses_past: ClassVar[bool] = False

    @abstractmethod
    def propose(self, space: Space, seed: int, numbers: Numbers, snapshot: Snapshot | None) -> Codes:
        """(k, d) codes for the k trials `numbers`, which nobody has proposed yet."""

    def propose_noted(
        self, space: Space, seed: int, numbers: Numbers, snapshot: Snapshot | None
    ) -> tuple[Codes, Sequence[Note | None]]:
        """As `propose`, with what it will want to know of each of these trials beyond its parameters (`snapshot.notes`).

        Notes are written into the log: JSON values, and few of them.
        """
        return self.propose(space, seed, numbers, snapshot), [None] * len(numbers)

    def limit(self, space: Space) -> int | None:
        """How many different trials there are to propose; None if there is no end."""
        return None

    def account(self, snapshot: Snapshot) -> str | None:
        """What it does in this study at the moment and why, in one line; None if its name says it all."""
        return None

    def warning(self, space: Space) -> str | None:
        """What a user should know before spending on this sampler in this space; None if nothing."""
        return None


def unheard(sampler: Sampler, definition: Definition) -> str | None:
    """What to tell whoever gave the study earlier ones that its sampler does not learn from; None if it does."""
    if not definition.warm_start or sampler.uses_past:
        return None
    return (
        f"{definition.sampler.method} does not learn from earlier studies, so warm_start changes nothing; "
        'the samplers "auto" and "gp" do'
    )


def draw(space: Space, unit: NDArray[np.float64], numbers: Numbers) -> Codes:
    """Codes for points of the unit cube, by the priors; the study's start values go to trial 0."""
    return begun(space, space.quantile(unit, conditions=False), numbers)


def begun(space: Space, codes: Codes, numbers: Numbers) -> Codes:
    """`codes`, which have a number for every parameter, with the study's start values in trial 0; NaN where there is no parameter."""
    codes, first = codes.copy(), numbers == 0
    if first.any() and space.start:
        start = space.codes([space.start], known=True)[0]
        given = ~np.isnan(start)
        codes[np.ix_(first, given)] = start[given]
    return space.condition(codes)
