"""Particle swarm: particles fly on with some of their velocity, towards where they and those who inform them have been best."""

from __future__ import annotations

import dataclasses
import math
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from taut.errors import InputError
from taut.samplers.base import Note
from taut.samplers.geometry import Geometry
from taut.samplers.population.base import PopulationSampler
from taut.samplers.population.ended import Ended
from taut.snapshot import Snapshot
from taut.space import Space
from taut.space.prior import Floats

__all__ = ["SwarmSampler"]

# Of SPSO 2011, as they are since SPSO 2006.
_INERTIA = 1.0 / (2.0 * math.log(2.0))  # w
_PULL = 0.5 + math.log(2.0)  # c
_BOUNCE = -0.5  # times the velocity, where a bound is met

_FOLLOWED = 2.0 / 3.0  # of choices are those of the best informant, the others of the particle's own best
_STRAY = 0.1  # of choices are drawn anew
_FIRST, _LINKS = 0x51, 0x52  # so that no two kinds of random numbers are the same


@dataclasses.dataclass(frozen=True)
class Swarm:
    """Rows of all arrays are particles.

    latest: of their trials that have ended, those that began last; with number -1 where none has. velocity: (S, k) with which they came there,
    along the k ordered columns. best: their best trials, with a loss of infinity where there is none. order: (S,) how these
    stand. links: (S, K) whom each one informs, beside itself. taken: how many trials have ended. better: how many had when the best
    of all was found.
    """

    latest: Ended
    velocity: Floats
    best: Ended
    order: Floats
    links: NDArray[np.int64]
    taken: int = 0
    better: int = 0


@dataclasses.dataclass(frozen=True)
class SwarmSampler(PopulationSampler[Swarm | None]):
    """Standard particle swarm optimisation 2011, without a barrier between its iterations.

    Choose it for cheap trials over numbers, hundreds to some ten thousands, in spaces that are not aligned with the axes: it treats all
    directions alike, needs no model, and a few particles follow the best ones closely without leaving all else. For a smooth
    valley `cma` is quicker; for choices and conditions `ants`, `evolution` and `tpe` are made.

    particles: in the swarm; so many trials are drawn from the priors first. More look farther and come nearer later. 2 to 1,000, 10 by default.
    informants: whom each particle informs of its best place, drawn again whenever a round brought nothing better. Fewer keep the swarm
        apart for longer. 1 to 100, 3 by default.

    A trial is a move of particle `number` modulo `particles`. It sets out from where that particle's latest trial ended, with what is known by
    then of the others, so a slow trial holds nobody up. Failed trials and those that break a constraint move a particle, and are nobody's best
    while there are others (feasibility rules).

    Sources: M. Clerc, "Standard Particle Swarm Optimisation", hal-00764996, 2012, on SPSO 2011; M. Zambrano-Bigiarini, M. Clerc & R. Rojas, IEEE CEC 2013, pages
    2337-2344, where pulls have a random strength along each axis (Clerc's are of one strength, and do not know the axes: better here). Departures: 10
    particles rather than 40, since a tuner has few trials; half of the first velocity, as SPSO 2007 has it; a particle sees what ended before it sets
    out, not what the round before brought; choices, which have no velocity, are those of the best informant or of the particle's own best, or any.
    """

    partial: ClassVar[bool] = True
    particles: int = 10
    informants: int = 3

    def __post_init__(self) -> None:
        for name, least, most in (("particles", 2, 1000), ("informants", 1, 100)):
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= most:
                raise InputError(
                    f"{name} = {value!r} must be a whole number from {least} to {most}; leave it out for "
                    f"{getattr(type(self), name)}",
                    ("sampler", name),
                )

    def warning(self, space: Space) -> str | None:
        if len(Geometry.of(space).ordered):
            return None
        return "a swarm flies along numbers, and this space has none to choose; evolution or tpe are made for choices"

    def size(self, geometry: Geometry) -> int:
        return self.particles

    def begun(self, geometry: Geometry, snapshot: Snapshot) -> None:
        return None

    def ready(self, state: Swarm | None) -> bool:
        return state is not None and bool(np.isfinite(state.order).any())

    def grown(
        self, geometry: Geometry, state: Swarm | None, ended: Ended, snapshot: Snapshot
    ) -> Swarm | None:
        seed, s = snapshot.definition.seed, self.particles
        state = self._resting(geometry, ended, seed) if state is None else state
        latest, best = state.latest.and_(ended), state.best.and_(ended)
        last, top = np.arange(s), np.arange(s)  # rows of these, for each particle
        velocity, order, links = state.velocity.copy(), state.order, state.links
        taken, better = state.taken, state.better
        for row, number in enumerate(ended.numbers.tolist(), start=s):
            taken += 1
            i, speed = self._flight(snapshot.notes.get(number), number)
            if number > latest.numbers[last[i]]:
                last[i] = row
                if len(speed) != velocity.shape[1]:  # its first, or before the space was extended
                    rng = np.random.default_rng([seed, number, _FIRST])
                    speed = 0.5 * (rng.random(velocity.shape[1]) - ended.unit[row - s, geometry.ordered])
                velocity[i] = speed
            mine, new = best.rows(np.array([top[i], row])).standing()
            if np.isfinite(new) and new <= mine:
                first, new = best.rows(np.array([top[order.argmin()], row])).standing()
                better = taken if new < first else better
                top[i] = row
                order = best.rows(top).standing()
            if taken > better and (taken - better) % s == 0:
                links = self._links(seed, taken)
        return Swarm(latest.rows(last), velocity, best.rows(top), order, links, taken, better)

    def child(
        self,
        geometry: Geometry,
        state: Swarm | None,
        number: int,
        snapshot: Snapshot,
        rng: np.random.Generator,
    ) -> tuple[Floats, Note | None]:
        assert state is not None
        latest, best, order = state.latest, state.best, state.order
        flying = np.flatnonzero(latest.numbers >= 0)
        i = int(flying[number % len(flying)])  # all of them, as soon as each has a trial that ended
        informed_by = np.flatnonzero((state.links == i).any(axis=1) | (np.arange(len(order)) == i))
        leader = int(informed_by[order[informed_by].argmin()])
        leader = leader if np.isfinite(order[leader]) else int(order.argmin())
        # Where it has been best itself is unknown while all its trials failed, and the same place if it leads.
        guides = [leader] if leader == i or not np.isfinite(order[i]) else [i, leader]

        at = latest.unit[i]
        if not latest.active[i].all():
            at = np.where(latest.active[i], at, geometry.drawn(rng))
        towards = [np.where(best.active[g], best.unit[g], at) for g in guides]
        unit, axes, choices = np.full(geometry.d, 0.5), geometry.ordered, geometry.choices

        x = at[axes]
        # x' is in the ball around G = (x + p' + l') / 3 with p' = x + c (p - x) and l' = x + c (l - x); without p, or if p = l, it is (x + l') / 2.
        centre = x + _PULL * sum(place[axes] - x for place in towards) / (1 + len(towards))
        velocity = np.where(latest.active[i, axes], state.velocity[i], 0.0)
        velocity = _INERTIA * velocity + _in_ball(centre, x, rng) - x  # v <- w v + x' - x
        there = x + velocity
        unit[axes] = np.clip(there, 0.0, 1.0)
        velocity[(there < 0.0) | (there > 1.0)] *= _BOUNCE

        draws = rng.random((3, len(choices)))
        followed = np.where(draws[0] < _FOLLOWED, towards[-1][choices], towards[0][choices])
        unit[choices] = np.where(draws[1] < _STRAY, draws[2], followed)
        return unit, {"particle": i, "velocity": [float(f"{each:.6g}") for each in velocity.tolist()]}

    def _resting(self, geometry: Geometry, ended: Ended, seed: int) -> Swarm:
        """Before any trial has ended. `ended` says how many objectives and constraints there are."""
        s, d = self.particles, geometry.d
        none = Ended(
            numbers=np.full(s, -1),
            unit=np.full((s, d), 0.5),
            active=np.zeros((s, d), bool),
            loss=np.full((s, ended.loss.shape[1]), np.inf),
            slack=np.zeros((s, ended.slack.shape[1])),
        )
        velocity = np.zeros((s, len(geometry.ordered)))
        return Swarm(none, velocity, none, np.full(s, np.inf), self._links(seed, 0))

    def _links(self, seed: int, taken: int) -> NDArray[np.int64]:
        rng = np.random.default_rng([seed, taken, _LINKS])
        return rng.integers(self.particles, size=(self.particles, self.informants))

    def _flight(self, note: Note | None, number: int) -> tuple[int, Floats]:
        """Whose move a trial was, and with which velocity that ended: with none, if it did not fly there."""
        if note is None or "particle" not in note:
            return number % self.particles, np.empty(0)
        return note["particle"] % self.particles, np.array(note["velocity"], float)


def _in_ball(centre: Floats, edge: Floats, rng: np.random.Generator) -> Floats:
    """A point of the ball around `centre` through `edge`: in any direction, at any share of the radius."""
    direction, radius = rng.standard_normal(len(centre)), centre - edge
    length = math.sqrt(direction @ direction) or 1.0
    return np.asarray(centre + rng.random() * math.sqrt(radius @ radius) / length * direction)
