"""Plans against finish times that are replayed on traces of real queues, with what came before as the only knowledge.

python benchmarks/planned.py FOLDER            # --times 40 --trace NAME

FOLDER holds the traces as for `benchmarks/waits.py`; none comes with taut. At some moments of each trace, when somebody submitted jobs together, the queue is
learned from the 60 days before, and studies are planned: of trials as large as those jobs, eight of which would fill one of them.

*As they asked*: in jobs of the shape and the number of the burst, so that what they really waited is known of each. *As planned*: in jobs of the shape that the
planner chooses, with what those like them waited that came next; and so for a job for each trial, and one job for all. In each case the study is then
played job by job, with the workers' own decisions, and jobs that follow wait as those have waited that came at that moment; what trials and
overheads really take is drawn around what the plan knows of them from 20 trials and 5 jobs. Coverage is the share of ends
within the 10 to 90 % that were promised; factors are medians of how far an end lies from the promised median.
"""

from __future__ import annotations

import argparse
import math
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple, get_args

import common
import numpy as np
import waits as traces
from numpy.typing import NDArray

from taut.decide import Proposals
from taut.definition import Budget, Definition, Objective
from taut.queue.bursts import bursts
from taut.queue.option import Option, option
from taut.queue.plan import asked, make, waits_of
from taut.queue.records import Jobs
from taut.queue.shapes import Bounds
from taut.queue.simulate import Campaign, Desk, DrawnQueue, Lognormal, Shape, Trials
from taut.queue.waits import Unit, Waits
from taut.queue.work import Known, Work
from taut.samplers.random import RandomSampler
from taut.space import Space, uniform

Floats = NDArray[np.float64]
DAY = 86400.0
BACK = 60 * DAY  # of which the queue is learned
NEAR, LIKE = (
    2 * DAY,
    math.log2(1.6),
)  # how near in time, and in size and walltime, jobs have to be whose waits are taken
FEWEST = 4  # jobs of a burst
EACH = 8  # trials of a job of the burst, as long as it asked
SPREAD, OVERHEAD = 0.4, 0.05  # of a trial's time; an overhead as a part of the job's
SPACE = Space(x=uniform(0.0, 1.0))


class Case(NamedTuple):
    """A moment of a trace: what is wanted there, and which jobs say what one really waits."""

    now: float
    work: Work
    asked: Shape
    unit: Unit
    known: Waits
    world: World


class World:
    """What jobs really waited, by when they came and what they asked for."""

    def __init__(self, jobs: Jobs, partition: int, unit: int) -> None:
        mine = (
            (jobs.partition == partition)
            & (jobs.unit == unit)
            & np.isfinite(jobs.wait)
            & np.isfinite(jobs.walltime)
        )
        self._came, self._wait = jobs.eligible[mine], jobs.wait[mine]
        self._shape = np.log2(np.stack((jobs.size[mine], jobs.walltime[mine]), axis=1))

    def waits(self, now: float, count: int, size: float, walltime: float) -> Floats | None:
        """(count,) in order, of the jobs like these that came at `now` or next after; None where none is near."""
        first = int(np.searchsorted(self._came, now - 1.0))
        last = int(np.searchsorted(self._came, now + NEAR))
        apart = np.abs(self._shape[first:last] - np.log2((size, walltime))).max(axis=1)
        like = np.flatnonzero(apart <= LIKE)[:count]
        if not len(like):
            return None
        return np.sort(np.resize(self._wait[first + like], count))


class Elsewhere(Exception):
    """Nobody in the trace has asked for such a job at that time."""


class TrueQueue(DrawnQueue):
    """A queue on which jobs wait as others really have, from second `zero` of the trace on."""

    def __init__(self, world: World, zero: float) -> None:
        super().__init__(self._true, 0)
        self._world, self._zero = world, zero

    def _true(self, rng: np.random.Generator, jobs: int, runs: int) -> Floats:
        one = self._burst_of
        found = self._world.waits(self._zero + self.now, jobs, one[0], one[1])
        if found is None:
            raise Elsewhere
        return found[None, :]

    def submit(self, size: int, walltime: float, **more: object):  # type: ignore[no-untyped-def]
        self._burst_of = (size, walltime)
        return super().submit(size, walltime, **more)  # type: ignore[arg-type]


def came(case: Case, shape: Shape, seed: int) -> float | None:
    """Seconds until the study is done in jobs of this shape; None where the trace does not say."""
    study = Definition("replayed", SPACE.to_json(), [Objective("y")], budget=Budget(trials=case.work.trials))
    slow, heavy = (_truly(known, seed + i) for i, known in enumerate((case.work.trial, case.work.overhead)))
    trials = Trials(lambda params, step: {"y": 0.0}, slow, seed=seed)
    queue = TrueQueue(case.world, case.now)
    desk = Desk(study, Proposals(RandomSampler(), SPACE))
    campaign = Campaign(queue, desk, trials, shape, heavy, seed)
    campaign.begin()
    try:
        queue.run()
    except Elsewhere:
        return None
    return campaign.finish if campaign.done else None


def _truly(known: Known, seed: int) -> Lognormal:
    """What it really takes, of which the plan knows some values: the mean is as far off as it is doubted."""
    mean, spread = known.time
    return Lognormal(
        mean * math.exp(known.doubt * np.random.default_rng([seed, 1]).standard_normal()), spread
    )


def cases(jobs: Jobs, count: int) -> Iterator[Case]:
    """Some bursts of the last two thirds, at random moments, in order."""
    rng = np.random.default_rng(3)
    burst = bursts(jobs)
    _, first, sizes = np.unique(burst, return_index=True, return_counts=True)
    fit = (sizes >= FEWEST) & (jobs.eligible[first] > np.quantile(jobs.eligible, 0.35))
    fit &= np.isfinite(jobs.walltime[first]) & (jobs.walltime[first] >= 1800.0)
    chosen = rng.choice(np.flatnonzero(fit), min(count, int(fit.sum())), replace=False)
    for place in sorted(chosen, key=lambda i: jobs.eligible[first[i]]):
        i = int(first[place])
        now, walltime, size = float(jobs.eligible[i]), float(jobs.walltime[i]), float(jobs.size[i])
        past = jobs.take((jobs.eligible < now) & (jobs.eligible > now - BACK))
        user = jobs.users[jobs.user[i]] if len(jobs.users) > 1 else None
        known = Waits.learn(past, now, user=user)
        each = walltime * (1.0 - OVERHEAD) / EACH / (1.0 + SPREAD)
        work = Work(
            int(min(sizes[place], 16)) * EACH,
            Known(Lognormal(each, SPREAD), 20, "from 20 trials"),
            Known(Lognormal(OVERHEAD * walltime, 0.3), 5, "from 5 jobs"),
        )
        partition = jobs.partitions[jobs.partition[i]]
        shape = Shape(walltime, int(min(sizes[place], 16)), units=int(size), partition=partition)
        unit = get_args(Unit)[int(jobs.unit[i])]
        yield Case(now, work, shape, unit, known, World(jobs, int(jobs.partition[i]), int(jobs.unit[i])))


class Ends(NamedTuple):
    """Of each case: the promised quantiles, and when the study was done."""

    promised: list[tuple[float, float, float]]
    came: list[float]

    def add(self, expected: Option, end: float) -> None:
        self.promised.append(expected.outlook.finish)
        self.came.append(end)

    def row(self) -> list[str]:
        low, half, high = np.array(self.promised).T
        ends = np.array(self.came)
        share = float(np.mean((low <= ends) & (ends <= high)))
        below, above = float(np.mean(ends < low)), float(np.mean(ends > high))
        factor = float(np.exp(np.median(np.abs(np.log(ends / half)))))
        return [
            str(len(ends)),
            f"{share:.2f}",
            f"{below:.2f}",
            f"{above:.2f}",
            f"{factor:.2f}",
            f"{np.median(high / low):.1f}",
        ]


def run(name: str, jobs: Jobs, count: int) -> tuple[list[list[str]], list[str]]:
    """The rows of a trace: promises against ends, and the planned shape against those that people write."""
    burst, free = Ends([], []), Ends([], [])
    against: dict[str, list[float]] = {"one trial per job": [], "everything in one job": []}
    for seed, case in enumerate(cases(jobs, count)):
        waits = waits_of(case.known, asked(case.asked, case.unit), case.now)
        end = came(case, case.asked, seed)
        if end is not None:
            burst.add(option(case.asked, case.work, waits), end)
        where = case.asked.partition
        bounds = Bounds(_longest(case, jobs), units=case.asked.units, partition=where, unit=case.unit)
        plan = make(case.work, case.known, bounds, case.now)
        end = came(case, plan.best.shape, seed)
        if end is None:
            continue
        free.add(plan.best, end)
        for shape, ratios in against.items():
            if (usual := plan.naive.get(shape)) is not None:
                other = came(case, usual.shape, seed)
                if other is not None:
                    ratios.append(other / end)
    rows = [
        [name, kind, *ends.row()]
        for kind, ends in (("as they asked", burst), ("as planned", free))
        if ends.came
    ]
    factors = [f"{np.median(ratios):.1f}x ({len(ratios)})" if ratios else "-" for ratios in against.values()]
    return rows, [name, *factors]


def _longest(case: Case, jobs: Jobs) -> float:
    """Of the walltimes that are usual in the partition; a plan with longer ones could not be replayed."""
    mine = jobs.partition == jobs.partitions.index(case.asked.partition or "")
    return float(np.quantile(jobs.walltime[mine & np.isfinite(jobs.walltime)], 0.95))


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", type=Path, help="where the traces are")
    parser.add_argument("--times", type=int, default=40, help="moments of each trace")
    parser.add_argument("--trace", help="only those with this in their names")
    given = parser.parse_args()
    print(common.header("Plans against replayed finish times"))
    rows, against = list[list[str]](), list[list[str]]()
    for path in sorted(given.folder.glob("*.parquet")):
        if given.trace and given.trace not in path.stem:
            continue
        jobs = traces.load(path)
        if np.ptp(jobs.submit) < 40 * DAY:
            continue
        found, factors = run(path.stem, jobs, given.times)
        rows += found
        against.append(factors)
    columns = ("trace", "jobs", "studies", "10-90 %", "below", "above", "median factor", "p90 / p10")
    print(common.table(columns, rows))
    print("\nHow many times as long the usual shapes took (in so many studies)\n")
    print(common.table(("trace", "one trial per job", "everything in one job"), against))


if __name__ == "__main__":
    main()
