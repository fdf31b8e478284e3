"""Other people's jobs as they have been: from a queue's records to a cluster of that size, and the jobs that came to it."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from taut.errors import InputError
from taut.queue.records import UNITS, Jobs
from taut.queue.simulate.cluster import Cluster
from taut.queue.simulate.simulation import Simulation
from taut.queue.simulate.workload import Workload
from taut.space.prior import Floats

__all__ = ["Past", "replayed"]

_FEWEST = 50  # jobs; with fewer there is nobody to wait for
_KNOWN = 0.5  # of the jobs that started must have an end, at least
_UNLIMITED = 30 * 86400.0  # seconds that stand for a walltime without a limit
_SETTLED = 0.25  # of the time, after which the cluster is as full as it was
_MOST = 2000  # jobs that are played, the latest
_FINE = 0.05  # of the nodes, to which their number is found
_JOBS = 100_000  # that come again, at most


class Past(NamedTuple):
    """cluster: of such a size that the jobs wait on it as they have waited. others: the jobs, from second 0 on. waits: (n,) seconds that they waited.
    again: (n,) seconds that they wait on the cluster."""

    cluster: Cluster
    others: Workload
    waits: Floats
    again: Floats

    @property
    def lead(self) -> float:
        """Seconds after which the cluster is as full as it was; at the beginning of a simulation nobody runs yet."""
        return _SETTLED * float(self.others.submit.max())

    def turned(self, seed: int, seconds: float) -> Workload:
        """The jobs from some moment on, and again from their first when they have come to their last, for so many seconds."""
        span = float(self.others.submit.max()) + 1.0
        came = (self.others.submit + np.random.default_rng([seed, 10]).random() * span) % span
        laps = min(int(seconds // span) + 1, max(_JOBS // len(came), 1))
        columns = [np.tile(column, laps) for column in self.others[1:]]
        return Workload.of(np.concatenate([came + lap * span for lap in range(laps)]), *columns)


def replayed(jobs: Jobs, unit: str = "gpus", partition: str | None = None) -> Past:
    """The latest jobs that asked for `unit` (one of `UNITS`), in a partition (or a list of them, ``a,b``) alone if it is named and known: the others do not compete with ours.

    What never started is left out. A job whose end is not known takes all of its walltime. The units of a node are the most that a job had on each
    of its nodes. How large the cluster is, and what else holds it, the records do not say: it gets the size at which these jobs wait as they have waited
    (the mean of log(1 + seconds)), between what the largest of them needs and what they held at a time.

    Raises `InputError` where too few jobs have a start and an end.
    """
    mine = (jobs.unit == UNITS.index(unit)) & np.isfinite(jobs.start)
    named = [jobs.partitions.index(name) for name in (partition or "").split(",") if name in jobs.partitions]
    if named:
        mine &= np.isin(jobs.partition, named)
    past = jobs.take(np.flatnonzero(mine)[-_MOST:])
    ended = np.isfinite(past.end)
    if len(past) < _FEWEST or ended.mean() < _KNOWN:
        raise InputError(
            f"{len(past)} jobs with {unit} have started, and of {int(ended.sum())} the end is known; "
            f"{_FEWEST} are needed to play them again, and most ends: give a longer history"
        )
    walltime = np.where(np.isinf(past.walltime), _UNLIMITED, past.walltime)
    runtime = np.where(ended, past.end - past.start, np.where(np.isnan(walltime), _UNLIMITED, walltime))
    walltime = np.where(np.isnan(walltime), np.maximum(runtime, 60.0), walltime)
    size = np.ceil(past.size)
    came = past.eligible - past.eligible.min()
    others = Workload.of(came, size, walltime, np.minimum(runtime, walltime), user=past.user)
    per = _units_of_a_node(past)
    low = int(-(-size.max() // per))
    high = max(int(-(-_peak(past.start, past.start + runtime, size) // per)), low)
    nodes, again = _sized(others, per, low, high, float(np.log1p(past.wait).mean()))
    return Past(Cluster(nodes, per), others, past.wait, again)


def _sized(others: Workload, per: int, low: int, high: int, wanted: float) -> tuple[int, Floats]:
    """The number of nodes on which the jobs wait as much as is wanted, and their waits there; more nodes, shorter waits."""

    def waits(nodes: int) -> Floats:
        simulation = Simulation(Cluster(nodes, per), others)
        simulation.run()
        return np.array([ran.start - ran.job.submit for ran in simulation.ran])

    found = waits(high)
    while high - low > max(1, _FINE * high) and np.log1p(found).mean() < wanted:
        middle = (low + high) // 2
        tried = waits(middle)
        if np.log1p(tried).mean() <= wanted:
            high, found = middle, tried
        else:
            low = middle
    return high, found


def _peak(start: Floats, end: Floats, size: Floats) -> int:
    """Units that were held at a time, at most."""
    at = np.concatenate((start, end))
    change = np.concatenate((size, -size))
    order = np.lexsort((change, at))  # what ends makes room for what begins
    return int(np.cumsum(change[order]).max())


def _units_of_a_node(jobs: Jobs) -> int:
    """1 where it is not known, or where nodes are counted."""
    known = (jobs.nodes > 0) & (jobs.unit < 2)
    if not known.any():
        return 1
    return max(int(np.ceil(jobs.size[known] / jobs.nodes[known]).max()), 1)
