"""Queues for tests: waits that follow a law which is known, so that what is learned can be held against it."""

from __future__ import annotations

import numpy as np

from taut.queue.records import Jobs

DAY = 86400.0
NOW = 1_700_000_000.0


def lognormal(
    n: int,
    *,
    seed: int = 0,
    days: float = 40.0,
    median: float = 1800.0,
    per_walltime: float = 1.6,
    per_size: float = 1.0,
    spread: float = 0.8,
    burst: int = 1,
    alike: float = 0.9,
    at_once: float = 0.0,
) -> Jobs:
    """n jobs until `NOW`; waits are lognormal around `median` for size 1 and an hour, times a factor for each doubling.

    burst: jobs that are submitted together, of one user and shape, whose scores have the correlation `alike`.
    at_once: the share of bursts that start after a second.
    """
    rng = np.random.default_rng(seed)
    bursts = -(-n // burst)
    of = np.repeat(np.arange(bursts), burst)[:n]
    submit = np.sort(rng.uniform(NOW - days * DAY, NOW, bursts))[of] + np.tile(np.arange(burst), bursts)[:n]
    size = 2.0 ** rng.integers(0, 4, bursts)[of]
    walltime = 3600.0 * 2.0 ** rng.integers(-1, 5, bursts)[of]
    score = np.sqrt(alike) * rng.standard_normal(bursts)[of] + np.sqrt(1 - alike) * rng.standard_normal(n)
    shift = np.log2(size) * np.log(per_size) + np.log2(walltime / 3600) * np.log(per_walltime)
    wait = np.where((rng.random(bursts) < at_once)[of], 1.0, median * np.exp(shift + spread * score))
    start = submit + wait
    return Jobs.of(
        submit,
        start,
        end=start + 600.0,
        walltime=walltime,
        gpus=size,
        partition=["gpu"] * n,
        user=[f"user{i}" for i in of],
    )
