"""Other people's jobs: drawn from distributions that real clusters show, or a table of what has been."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from taut.errors import InputError
from taut.queue.simulate.cluster import Cluster

__all__ = ["EMPTY", "Row", "Workload", "load"]

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Row = tuple[float, int, float, float, int, int]
"""A job: when it is submitted, units, walltime, how long it runs, its partition, its user."""

# Stated rather than fitted. Sizes and walltimes are what GPU clusters typically see; of the walltime asked for, users' jobs took 15-27 % in the
# median and 5-8 % hit the limit (traces of 2021 to 2024); jobs come in bursts of one user.
_SIZES = {1: 0.56, 2: 0.12, 4: 0.16, 8: 0.08, 16: 0.05, 32: 0.03}
_HOURS = {0.5: 0.08, 1: 0.15, 2: 0.12, 4: 0.17, 8: 0.13, 12: 0.12, 24: 0.23}
_LIMIT = 0.065  # of the jobs reach their walltime
_SHARE = 0.55, 1.75  # the others' share of it: a beta distribution, median 0.17
_BURST = 3.0  # jobs that a user submits together, on average: a geometric distribution
_USERS = 40
_DAY = 0.6  # how much the rate of arrivals rises and falls over a day, as a part of its mean


class Workload(NamedTuple):
    """A table of jobs, all columns of equal length: when each is submitted, units, the walltime asked for, how long it runs, its partition
    by number, its user by number. Seconds since the simulation begins; in order of submission."""

    submit: Floats
    size: Ints
    walltime: Floats
    runtime: Floats
    partition: Ints
    user: Ints

    @staticmethod
    def of(
        submit: ArrayLike,
        size: ArrayLike,
        walltime: ArrayLike,
        runtime: ArrayLike,
        partition: ArrayLike = 0,
        user: ArrayLike = 0,
    ) -> Workload:
        """A table from columns, in any order; single values hold for all jobs. Raises `InputError` for columns that do not go together."""
        try:
            columns = np.broadcast_arrays(
                *(
                    np.atleast_1d(np.asarray(each, np.float64))
                    for each in (submit, size, walltime, runtime, partition, user)
                )
            )
        except ValueError:
            raise InputError(
                "the columns of a workload must have one value for each job, or one for all"
            ) from None
        order = np.argsort(columns[0], kind="stable")
        at, units, asked, took, part, who = (column[order] for column in columns)
        return Workload(at, units.astype(np.int64), asked, took, part.astype(np.int64), who.astype(np.int64))

    def check(self, cluster: Cluster) -> None:
        """Raise `InputError` for a job that the cluster cannot run."""
        n = len(self.submit)
        if not n:
            return
        if not all(np.isfinite(column).all() for column in self):
            raise InputError("every job of a workload needs numbers; leave out those that are not known")
        if not (self.partition.min() >= 0 and self.partition.max() < len(cluster.partitions)):
            raise InputError(f"there are partitions 0 to {len(cluster.partitions) - 1} only", ("partition",))
        most = np.array([len(cluster.span(i)) * cluster.units for i in range(len(cluster.partitions))])
        longest = np.array([each.walltime for each in cluster.partitions])
        for name, bad, allowed in (
            ("size", (self.size < 1) | (self.size > most[self.partition]), "1 to the units of the partition"),
            (
                "walltime",
                (self.walltime <= 0) | (self.walltime > longest[self.partition]),
                "above 0, and at most the partition's",
            ),
            ("runtime", self.runtime < 0, "0 or more seconds"),
            ("submit", self.submit < 0, "0 or more seconds"),
        ):
            if bad.any():
                row = int(np.flatnonzero(bad)[0])
                raise InputError(
                    f"{getattr(self, name)[row]:g} of job {row} cannot be: allowed is {allowed}; "
                    f"{int(bad.sum())} of {n} jobs are like that: leave them out",
                    (name,),
                )

    def jobs(self) -> Iterator[Row]:
        return zip(*(column.tolist() for column in self), strict=True)


EMPTY = Workload.of([], [], [], [], [], [])


def load(
    cluster: Cluster,
    hours: float,
    load: float = 0.9,
    seed: int = 0,
    *,
    shares: Sequence[float] = (1.0,),
    users: int = _USERS,
) -> Workload:
    """Jobs for `hours` hours that keep a cluster busy to the part `load`, if it could place them without gaps.

    load: unit-hours that the jobs will run, over those that there are; from about 1 on the queue grows without end. shares: how likely a job
    is for each partition, in order.

    Sizes are 1 (56 %), 2, 4, 8, 16 or 32 units; walltimes half an hour to a day; 6.5 % of the jobs reach them, of the others the share that
    is used has a beta distribution with median 0.17. Users submit bursts of 3 on average, by day more than by night, and some users more than
    others (Zipf). Raises `InputError` where `load` or `hours` is not above 0.
    """
    for name, value in (("load", load), ("hours", hours)):
        if not value > 0:
            raise InputError(f"{value} must be above 0", (name,))
    rng = np.random.default_rng([seed, 2])
    seconds = 3600.0 * hours
    # Twice as many as are needed on average, cut when there is work enough.
    mean = _mean_work(cluster)
    wanted = load * cluster.size * seconds
    count = int(1.3 * wanted / mean) + 64
    bursts = rng.geometric(1.0 / _BURST, count)
    burst = np.repeat(np.arange(count), bursts)[:count]
    part = rng.choice(len(shares), count, p=np.asarray(shares) / sum(shares))[burst]
    most = np.array([len(cluster.span(i)) * cluster.units for i in range(len(cluster.partitions))])
    longest = np.array([each.walltime for each in cluster.partitions])
    size = np.minimum(_drawn(rng, _SIZES, count)[burst].astype(np.int64), most[part])
    walltime = np.minimum(3600.0 * _drawn(rng, _HOURS, count)[burst], longest[part])
    runtime = np.maximum(walltime * rng.beta(*_SHARE, count), 10.0)
    runtime[rng.random(count) < _LIMIT] = np.inf
    held = np.minimum(runtime, walltime) * size
    n = int(np.searchsorted(np.cumsum(held), wanted)) + 1
    runtime = np.where(np.isinf(runtime), 2.0 * walltime, runtime)
    user = (rng.zipf(1.6, count) % users)[burst]
    at = _arrivals(rng, int(burst[min(n, count) - 1]) + 1, seconds)[burst[:n]]
    table = [column[:n] for column in (size, walltime, runtime, part, user)]
    return Workload.of(at + np.arange(len(at)) % 7, *table)


def _mean_work(cluster: Cluster) -> float:
    sizes = sum(min(units, cluster.size) * share for units, share in _SIZES.items())
    hours = sum(each * share for each, share in _HOURS.items())
    used = _LIMIT + (1.0 - _LIMIT) * _SHARE[0] / sum(_SHARE)
    return sizes * 3600.0 * hours * used


def _drawn(rng: np.random.Generator, table: dict[int, float] | dict[float, float], count: int) -> Floats:
    chances = np.array(list(table.values()))
    return rng.choice(np.array(list(table), np.float64), count, p=chances / chances.sum())


def _arrivals(rng: np.random.Generator, count: int, seconds: float) -> Floats:
    """(count,) moments, ascending; most of them in the first half of each day."""
    at = np.empty(0)
    while len(at) < count:
        drawn = rng.random(2 * count) * seconds
        at = np.concatenate(
            (
                at,
                drawn[
                    rng.random(2 * count) * (1.0 + _DAY) < 1.0 + _DAY * np.sin(drawn * 2.0 * np.pi / 86400.0)
                ],
            )
        )
    return np.sort(at[:count])
