"""How long a job will wait: a distribution, learned from what the queue did to others."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal, NamedTuple, get_args

import numpy as np

from taut.errors import InputError, nearest
from taut.queue import kept
from taut.queue.calibration import UNCALIBRATED, Calibration, calibrated
from taut.queue.crowding import Crowding
from taut.queue.known import Known, shape
from taut.queue.nearness import ANY, Asked
from taut.queue.outlook import Outlook, assumed
from taut.queue.records import UNITS, Jobs
from taut.queue.slopes import IMMEDIATE, slopes
from taut.queue.survival import Curve
from taut.space.prior import Floats

__all__ = ["Ask", "Unit", "Waits"]

Unit = Literal["gpus", "cpus", "nodes"]

_MOST = 6000  # jobs that a model keeps at most
_SLOW = 60.0  # days after which a job counts e times less for the slopes, which change slowly
_WEAK = 100  # known jobs below which an estimate is called weak
_STALE = 86400.0  # seconds after which what was known of the crowd says e times less
_ASSUMED = np.log(
    [1.1, 1.5]
)  # growth of a wait with each doubling of size and of walltime where nothing is known


class Ask(NamedTuple):
    """A job to be: how much of the machine, for how many seconds at most, in which partition (None: any; of a list, ``a,b``, the first that is known).

    unit: what `size` counts; None: jobs of all units are alike, as where there are only GPUs, or none.
    """

    size: float
    walltime: float
    partition: str | None = None
    unit: Unit | None = None


@dataclass(frozen=True, eq=False)
class Waits:
    """A model of a queue's waits. Make one by `learn` or `assumed`; keep it by `to_json`.

    A wait is a draw from what similar jobs waited, similar in size, walltime, partition, in how recent they are and how full the
    queue was, after moving their waits to the asked size and walltime by slopes that are learned, too. Jobs that
    still wait count as having waited longer than so. The width is set by how well the last predictions fared. A point
    prediction is off by a factor of two to three on real queues, so use the whole distribution.

    learned: the moment it speaks of, in seconds since 1970. crowd: (p, 2) how full each partition was then. slopes: (2,)
    growth of the logarithm of a wait with each doubling of size and of walltime. user: whose jobs count more. jobs, days:
    how many waits were known, over which time.
    """

    known: Known
    learned: float
    slopes: Floats
    calibration: Calibration
    crowd: Floats
    partitions: tuple[str, ...]
    user: int = ANY
    jobs: int = 0
    days: float = 0.0

    def __post_init__(self) -> None:
        object.__setattr__(self, "_outlook", Outlook(self.known, self.slopes, self.learned))

    @classmethod
    def learn(cls, jobs: Jobs, now: float, user: str | None = None) -> Waits:
        """The model of what these jobs teach at `now`; what happened later is not looked at.

        Choose it as soon as there are any jobs of the queue; with few it leans on `assumed` and is wide. user: the one who
        asks, whose own jobs then count more, since fair share and limits make a queue different for everyone.
        Takes about half a second, however many jobs there are. Jobs whose walltime is not known are left out.
        """
        past = jobs.take((jobs.eligible <= now) & ~np.isnan(jobs.walltime))
        past = replace(
            past,
            start=np.where(past.start <= now, past.start, np.nan),
            end=np.where(past.end <= now, past.end, np.nan),
        )
        if len(past) == 0:
            return cls.assumed()
        crowding = Crowding.of(past)
        known = kept.rounded(Known.of(past, crowding, _MOST))
        weights = known.stands * np.exp(-(now - known.came) / (86400.0 * _SLOW))
        growth = slopes(known, now, weights)
        who = (
            past.users.index(user)
            if user in past.users and (past.user == past.users.index(user)).any()
            else ANY
        )
        places = np.arange(len(past.partitions), dtype=np.int32)
        over = np.isfinite(past.start)
        first = float(past.eligible[over].min()) if over.any() else now
        return cls(
            known=known,
            learned=float(now),
            slopes=growth,
            calibration=calibrated(known, growth, now, personal=who != ANY),
            crowd=np.stack(crowding.at(np.full(len(places), now), places), axis=1),
            partitions=past.partitions,
            user=who,
            jobs=int(over.sum()),
            days=float((now - first) / 86400.0),
        )

    @classmethod
    def assumed(cls) -> Waits:
        """What is taken where nothing is known of a queue: lognormal, the logarithm with deviation 1.2, median an hour for a
        job of size 1 and an hour of walltime, x1.5 for each doubling of the walltime and x1.1 of the size."""
        return cls(kept.nothing(), 0.0, _ASSUMED.copy(), UNCALIBRATED, np.zeros((0, 2)), ())

    @property
    def strength(self) -> str:
        """How far to trust it: ``good: 4,812 jobs, 37 days``, ``weak: 23 jobs``, ``none: assumed``."""
        if len(self.known) == 0:
            return "none: assumed"
        if self.jobs == 0:
            return "none: no job has started yet"
        jobs = f"{self.jobs:,} {'job' if self.jobs == 1 else 'jobs'}"
        if self.jobs < _WEAK:
            return f"weak: {jobs}"
        return f"good: {jobs}, {max(round(self.days), 1)} {'day' if round(self.days) <= 1 else 'days'}"

    def quantiles(self, ask: Ask, now: float, levels: Sequence[float] | Floats) -> Floats:
        """Seconds that a job submitted at `now` waits less than, with each of the probabilities `levels`."""
        wanted = np.asarray(levels, dtype=np.float64)
        if wanted.size and not (wanted.min() >= 0.0 and wanted.max() <= 1.0):
            raise InputError(f"levels are probabilities from 0 to 1, and these are {wanted.tolist()}")
        return self._curve(ask, now).quantiles(self.calibration.levels(wanted))

    def immediate(self, ask: Ask, now: float) -> float:
        """The probability that a job submitted at `now` starts within a minute."""
        return self.calibration.probability(self._curve(ask, now).probability(IMMEDIATE))

    def similar(self, ask: Ask, now: float) -> float:
        """How many known jobs are like this one, near ones counting up to 1: below about 10 the answer is the whole queue's."""
        return self._outlook_of(ask, now)[1]

    def draw(self, rng: np.random.Generator, ask: Ask, now: float, jobs: int, runs: int) -> Floats:
        """(runs, jobs) seconds that `jobs` equal jobs wait which are submitted together, in order of their starts.

        Their normal scores share a part, by the correlation that bursts had (.82 to .89 on the traces this was made with): they
        wait together, and yet their starts are spread.
        """
        from scipy.special import ndtr

        shared = np.sqrt(self.calibration.correlation) * rng.standard_normal((runs, 1))
        own = np.sqrt(1.0 - self.calibration.correlation) * rng.standard_normal((runs, jobs))
        levels = self.calibration.levels(ndtr(shared + np.sort(own, axis=1)))
        return self._curve(ask, now).quantiles(levels)

    def to_json(self) -> str:
        """Plain numbers, about 50 bytes for each job that is kept; no names but those of partitions."""
        return kept.to_json(self)

    @classmethod
    def from_json(cls, text: str | bytes) -> Waits:
        """Back from `to_json`, to the same answers. Raises `InputError` for anything else."""
        return cls(**kept.from_json(text))

    def _curve(self, ask: Ask, now: float) -> Curve:
        return self._outlook_of(ask, now)[0]

    def _outlook_of(self, ask: Ask, now: float) -> tuple[Curve, float]:
        for name, value in (("size", ask.size), ("walltime", ask.walltime)):
            if not value > 0:
                raise InputError(
                    f"{name} is {value!r}; a number above 0 is allowed; a job of 2 GPUs and 1 h is Ask(2, 3600)"
                )
        if ask.unit is not None and ask.unit not in UNITS:
            raise InputError(
                f"unit is {ask.unit!r}; {', '.join(UNITS)} are allowed{nearest(ask.unit, UNITS)}"
            )
        where = shape(ask.size, ask.walltime)
        if len(self.known) == 0:
            return assumed(where, self.slopes), 0.0
        place, crowd = ANY, np.full(2, np.nan)
        if ask.partition is not None:
            known = [name for name in ask.partition.split(",") if name in self.partitions]
            place = self.partitions.index(known[0]) if known else len(self.partitions)
            crowd = self.crowd[place] if place < len(self.partitions) else crowd
        asked = Asked(
            shape=where,
            crowd=crowd,
            partition=place,
            unit=ANY if ask.unit is None else get_args(Unit).index(ask.unit),
            user=self.user,
            sharp=float(np.exp(-max(now - self.learned, 0.0) / _STALE)),
        )
        outlook: Outlook = self.__dict__["_outlook"]
        return outlook.curve(asked, now)
