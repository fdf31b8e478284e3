"""Grid search: every combination of every value."""

from __future__ import annotations

import dataclasses
import functools
import math
from collections.abc import Mapping

import numpy as np

from taut.errors import InputError, nearest
from taut.samplers.base import Codes, Numbers, Sampler
from taut.snapshot import Snapshot
from taut.space import Space

__all__ = ["GridSampler"]

_LARGEST = 1_000_000


@dataclasses.dataclass(frozen=True)
class GridSampler(Sampler):
    """All combinations of all values, the last parameter changing fastest.

    Choose it to map out one or two parameters completely. For more, random search finds better values in
    as many trials, since it tries a new value of *every* parameter each time (Bergstra & Bengio, 2012).

    resolution: number of values for parameters that are continuous (needed) or have more cells than that;
    one number for all, or a mapping by name. Values are spread evenly over the range, bounds included.
    """

    resolution: int | Mapping[str, int] | None = None

    def propose(self, space: Space, seed: int, numbers: Numbers, snapshot: Snapshot | None) -> Codes:
        cells = _cells(space, self._levels(space))
        if numbers.size and numbers.max() >= len(cells):
            raise InputError(
                f"there is no trial {numbers.max()}: the grid has {len(cells)} cells, 0 to {len(cells) - 1}",
                ("sampler", "method"),
            )
        return cells[numbers]

    def limit(self, space: Space) -> int | None:
        return len(_cells(space, self._levels(space)))

    def warning(self, space: Space) -> str | None:
        cells = self.limit(space)
        return (
            f"a grid over {len(space)} parameters has {cells:,} cells, a trial for each; "
            'method = "random" finds better values in fewer trials'
        )

    def _levels(self, space: Space) -> tuple[int, ...]:
        """Number of values for each searched parameter."""
        wanted = self.resolution
        if isinstance(wanted, Mapping):
            for name in wanted:
                if name not in space.searched:
                    raise InputError(
                        f"{name!r} is not a searched parameter{nearest(name, space.searched)}",
                        ("sampler", "resolution"),
                    )
        levels = []
        for name, cells in zip(space.searched, space.cells.tolist(), strict=True):
            count = wanted.get(name) if isinstance(wanted, Mapping) else wanted
            if count is not None and (isinstance(count, bool) or not isinstance(count, int) or count < 1):
                raise InputError(
                    f"{count!r} is not a number of values; use a whole number from 1",
                    ("sampler", "resolution"),
                )
            if not cells and count is None:
                raise InputError(
                    f"{name!r} is continuous, so a grid needs to know how many values to try; "
                    f"add resolution = 5 or resolution = {{ {name} = 5 }} under [sampler], "
                    'or use method = "random"',
                    ("sampler", "resolution"),
                )
            levels.append(min(cells or math.inf, count or math.inf))
        total = math.prod(levels)
        if total > _LARGEST:
            raise InputError(
                f"the grid has {total:,.0f} cells, more than {_LARGEST:,}; lower the resolution, "
                'or use method = "random"',
                ("sampler", "method"),
            )
        return tuple(int(level) for level in levels)


@functools.lru_cache(maxsize=8)
def _cells(space: Space, levels: tuple[int, ...]) -> Codes:
    """(cells, d) the distinct combinations: values of inactive parameters do not multiply the grid."""
    total = math.prod(levels)
    digits = np.stack(np.unravel_index(np.arange(total), levels), axis=1) if levels else np.zeros((1, 0))
    counts = np.asarray(levels, np.float64)
    # Where every value is taken, by its cell's centre; where only some are, evenly and with the bounds.
    whole = counts == space.cells
    with np.errstate(invalid="ignore"):
        spread = np.where(counts > 1, digits / (counts - 1), 0.5)
    codes = space.decode(np.where(whole, (digits + 0.5) / counts, spread))
    _, first = np.unique(np.nan_to_num(codes, nan=-np.inf), axis=0, return_index=True)
    distinct: Codes = codes[np.sort(first)]
    distinct.flags.writeable = False
    return distinct
