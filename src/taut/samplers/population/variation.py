"""How a child comes to differ from its parents, in any space: crossover and mutation, gene by gene.

A gene is a coordinate of the unit cube. Ordered ones are recombined and moved along their axes; choices are
inherited or drawn, never averaged. Which genes a child has depends on its values, so it is given all of them:
those that no parent had come from the priors.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from taut.samplers.geometry import Geometry
from taut.samplers.population.ended import Ended
from taut.snapshot import Snapshot
from taut.space.prior import Bools, Floats

__all__ = ["Genes", "crossed", "finished", "mutated", "mutated_once"]

_EQUAL = 1e-14  # parents no further apart have nothing to recombine
_TRIES = 8  # mutations in search of a point that nobody tried


class Genes(NamedTuple):
    """unit: (d,) a point of the cube. known: (d,) which of its genes come from a trial that had them."""

    unit: Floats
    known: Bools

    @staticmethod
    def of(ended: Ended, row: int) -> Genes:
        return Genes(ended.unit[row], ended.active[row])


def crossed(geometry: Geometry, one: Genes, other: Genes, eta: float, rng: np.random.Generator) -> Genes:
    """A child of two: simulated binary crossover of ordered genes, uniform crossover of choices.

    A gene that both have is crossed with probability 1/2, and is that of `one` otherwise; a gene that only one
    has is that one's.
    eta: 0 or more; the larger, the nearer are children to a parent. Deb & Agrawal, Complex Systems 9, 1995,
    with the bounds of Deb's code of NSGA-II. Of the two children that a crossover has, each gene is that of one
    or the other.
    """
    unit = np.where(one.known, one.unit, other.unit)
    draws = rng.random((3, geometry.d))
    mixed, below, u = one.known & other.known & (draws[0] < 0.5), draws[1] < 0.5, draws[2]
    if len(geometry.choices):
        inherited = geometry.choices[(mixed & below)[geometry.choices]]
        unit[inherited] = other.unit[inherited]
        mixed[geometry.choices] = False
    j = np.flatnonzero(mixed & (np.abs(one.unit - other.unit) > _EQUAL))
    below, u = below[j], u[j]
    low, high = np.minimum(one.unit[j], other.unit[j]), np.maximum(one.unit[j], other.unit[j])
    room = np.where(below, low, 1.0 - high)
    alpha = 2.0 - (1.0 + 2.0 * room / (high - low)) ** -(eta + 1.0)  # so that no child is out of bounds
    spread = np.where(u * alpha <= 1.0, u * alpha, 1.0 / (2.0 - u * alpha)) ** (1.0 / (eta + 1.0))
    unit[j] = 0.5 * (low + high + np.where(below, -spread, spread) * (high - low))
    return Genes(unit, one.known | other.known)


def mutated(geometry: Geometry, genes: Genes, eta: float, rng: np.random.Generator) -> Genes:
    """Each of k genes moved with probability 1/k."""
    known = _free(geometry, genes)
    return _moved(geometry, genes, known[rng.random(len(known)) * len(known) < 1.0], eta, rng)


def mutated_once(geometry: Geometry, genes: Genes, eta: float, rng: np.random.Generator) -> Genes:
    """One gene moved."""
    known = _free(geometry, genes)
    return _moved(geometry, genes, known[rng.integers(len(known), size=min(len(known), 1))], eta, rng)


def _free(geometry: Geometry, genes: Genes) -> NDArray[np.int64]:
    return geometry.free[genes.known[geometry.free]]


def _moved(
    geometry: Geometry, genes: Genes, j: NDArray[np.int64], eta: float, rng: np.random.Generator
) -> Genes:
    """Genes `j` moved: polynomial mutation along ordered axes, another value of a choice.

    eta: 0 or more; the larger, the shorter the steps, 1 / (eta + 2) of the room on average. Deb & Goyal, Computer
    Science and Informatics 26, 1996, with the bounds of Deb's code. A discrete value that a step leaves in its cell
    goes on to the next one: or integers of few values would hardly ever change.
    """
    unit, y, draws = genes.unit.copy(), genes.unit[j], rng.random(len(j))
    down = draws < 0.5
    room = np.where(down, y, 1.0 - y)
    share = np.where(down, 2.0 * draws, 2.0 * (1.0 - draws))
    step = 1.0 - (share + (1.0 - share) * (1.0 - room) ** (eta + 1.0)) ** (1.0 / (eta + 1.0))
    unit[j] = np.where(down, y - step, y + step)
    for k, column in enumerate(j.tolist() if geometry.middles else ()):
        middles = geometry.middles.get(column)
        if middles is None:
            continue
        now, there = geometry.nearest(column, np.array([y[k], unit[column]])).tolist()
        last = len(middles) - 1
        if column in geometry.unordered:
            there = (now + 1 + int(draws[k] * last)) % (last + 1)
        elif there == now:
            there = now + (-1 if down[k] else 1)
            there = there if 0 <= there <= last else 2 * now - there
        unit[column] = middles[there]
    return Genes(unit, genes.known)


def finished(
    geometry: Geometry, genes: Genes, eta: float, snapshot: Snapshot, rng: np.random.Generator
) -> Floats:
    """(d,) the genes and those that no parent had; in a discrete space mutated until nobody has tried that.

    A point that was tried would be replaced by one from anywhere.
    """
    known = genes.known
    if not known[geometry.free].all():
        space = geometry.space
        drawn = space.encode(space.quantile(rng.random((1, geometry.d)), conditions=False))[0]
        genes = Genes(np.where(known, genes.unit, drawn), known)
    for _ in range(_TRIES if geometry.repeats else 0):
        if not _tried(geometry, genes.unit, snapshot):
            break
        genes = mutated_once(geometry, genes, eta, rng)
    return genes.unit


def _tried(geometry: Geometry, unit: Floats, snapshot: Snapshot) -> bool:
    codes, known = geometry.codes(unit[None]), snapshot.codes
    return bool(((known == codes) | (np.isnan(known) & np.isnan(codes))).all(axis=1).any())
