"""Other parameters near a trial's own: how a member of a population explores."""

from __future__ import annotations

from collections.abc import Collection

import numpy as np
from numpy.typing import NDArray

from taut.space import Searched, Space, choice, lognormal, loguniform, loguniform_int
from taut.space.continuous import Number
from taut.space.integers import Whole
from taut.space.levels import Levels
from taut.space.prior import Floats

__all__ = ["completed", "differing", "known", "perturbed"]

_FACTORS = (0.8, 1.2)  # Jaderberg et al., section 4.1.1
_TRIES = 8  # to find parameters that nobody has
_ROUNDING = 1e-12
_LEAST = 0.1  # of the middle nine tenths of a prior: values nearer to 0 move as if they were so far from it


def perturbed(
    space: Space, codes: Floats, names: Collection[str], resample: float, rng: np.random.Generator
) -> Floats:
    """(d,) the parameters `names` of `codes` (d,) moved, and the others as they were.

    A number is multiplied by 0.8 or 1.2, an ordinal becomes its neighbour, a choice stays; or any of them, with probability `resample`, is
    drawn from its prior again. A whole number moves by at least one.
    """
    again, up = rng.random(len(space)) < resample, rng.random(len(space)) < 0.5
    drawn = space.quantile(rng.random((1, len(space))), conditions=False)[0]
    moved = codes.copy()
    for j, (name, parameter) in enumerate(zip(space.searched, space.columns, strict=True)):
        if name in names and not np.isnan(codes[j]):
            moved[j] = drawn[j] if again[j] else _moved(parameter, float(codes[j]), bool(up[j]))
    found: Floats = completed(space, moved[None], drawn)[0]
    return found


def differing(
    space: Space, others: Floats, names: Collection[str], resample: float, rng: np.random.Generator
) -> Floats:
    """(d,) the first of `others` (m, d) with the parameters `names` moved, so that it is none of them, if that is soon found."""
    for _ in range(_TRIES):
        codes = perturbed(space, others[0], names, resample, rng)
        if not known(codes[None], others)[0]:
            break
    return codes


def known(codes: Floats, others: Floats) -> NDArray[np.bool_]:
    """(k,) whether each of `codes` (k, d) is among `others` (m, d), but for rounding: parameters may be as small as one likes."""
    found = np.zeros(len(codes), np.bool_)
    for other in others:
        found |= np.isclose(codes, other, rtol=_ROUNDING, atol=0.0, equal_nan=True).all(axis=1)
    return found


def completed(space: Space, codes: Floats, drawn: Floats) -> Floats:
    """`codes` (k, d) where what their conditions ask for and they lack is taken from `drawn` (d,), and the rest is NaN."""
    found: Floats = space.condition(np.where(np.isnan(codes), drawn, codes))
    return found


def _moved(parameter: Searched, code: float, up: bool) -> float:
    if isinstance(parameter, choice):
        return code
    if isinstance(parameter, Levels):
        return float(np.clip(code + (1.0 if up else -1.0), 0, parameter.cells - 1))
    assert isinstance(parameter, Number)
    scale = abs(code)
    if not isinstance(parameter, loguniform | loguniform_int | lognormal):
        low, high = parameter.quantile(np.array([0.05, 0.95])).tolist()
        scale = max(scale, _LEAST * (high - low))
    share = _FACTORS[up] - 1.0
    moved = _allowed(parameter, code + share * scale)
    if moved == code and isinstance(parameter, Whole):
        moved = _allowed(parameter, code + (1 if up else -1) * getattr(parameter, "step", 1))
    return moved


def _allowed(parameter: Number, value: float) -> float:
    """The value of the parameter that is nearest."""
    low, high = parameter.bounds
    value = min(max(value, low), high)
    lattice = getattr(parameter, "lattice", None)
    if lattice is not None:
        return float(lattice.at(lattice.index(np.array(value))))
    return float(round(value)) if isinstance(parameter, Whole) else value
