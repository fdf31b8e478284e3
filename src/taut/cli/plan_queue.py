"""The queue that a plan is for: whose it is, what is known of it, and which limits hold there."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import click

from taut.errors import InputError, nearest
from taut.queue import cache
from taut.queue.records import Jobs
from taut.slurm import limits
from taut.slurm.calls import available, cluster_name, myself
from taut.slurm.site import Site

__all__ = ["KnownQueue", "known_queue"]


class KnownQueue(NamedTuple):
    """What is known of it. here: the cluster of this machine, if it is of one. site: the limits that hold; None where they cannot be asked. keep: the cluster
    for which what was just learned is to be kept; None: for nobody. past: the jobs from which it was just learned."""

    learned: cache.Learned
    here: str | None
    site: Site | None
    keep: str | None
    past: Jobs | None = None

    def save(self) -> None:
        """Keep what was just learned; say so where it is not of this cluster."""
        if self.keep is not None:
            cache.save(self.keep, self.learned)
            if self.keep != self.here:
                click.echo(
                    f"note: the queue of {self.keep} is kept; later plans for it take --cluster {self.keep}",
                    err=True,
                )


def known_queue(history: str | None, cluster: str | None, now: float) -> KnownQueue:
    """history: a file to learn from, "" for accounting here, None for what was learned earlier. cluster: whose queue, if somebody says so.

    Raises `InputError` where nothing is known of the cluster that was named, or that is no name, or the file is of another one.
    """
    if cluster is not None:
        cache.check(cluster, "--cluster")
    site = _site()
    here = site.config.cluster if site is not None and site.config is not None else cluster_name()
    asked = None if cluster is None else cluster.lower()
    if history is None:
        if asked not in (None, here) and asked not in (known := cache.known()):
            raise InputError(
                f"nothing was learned of the queue of {cluster!r}{nearest(str(asked), known)}; "
                f"{'learned were: ' + ', '.join(known) if known else 'none was learned yet'}; add --from-sacct=FILE with a history of it",
                ("--cluster",),
            )
        learned, keep, past = cache.load(asked or here), None, None
    else:
        learned, keep, past = _learned(history, asked, here, now)
    whose = learned.cluster or asked or here
    if site is not None and whose != here:
        click.echo(
            f"note: the limits of {whose} are not known here; give --longest, and workers in [on.slurm]",
            err=True,
        )
        site = None
    return KnownQueue(learned, here, site, keep, past)


def _learned(
    history: str, asked: str | None, here: str | None, now: float
) -> tuple[cache.Learned, str | None, Jobs]:
    """The queue from its past jobs, for which cluster it is to be kept, and the jobs."""
    learned, found = cache.learn(Path(history) if history else None, now, myself())
    if found.unread:
        click.echo(f"note: {found}", err=True)
    whose = learned.cluster if history else here or learned.cluster
    if asked is not None and whose not in (None, asked):
        raise InputError(
            f"{asked!r} is not the cluster whose jobs {'the file' if history else 'accounting here'} shows, which is {whose}; leave it out",
            ("--cluster",),
        )
    keep = whose or asked
    if keep is None:
        click.echo(
            f"note: {Path(history).name} does not say of which cluster it is, so it is used this once; --cluster NAME keeps it",
            err=True,
        )
    return learned._replace(cluster=keep), keep, found.jobs


def _site() -> Site | None:
    """The cluster's limits; None where there is no Slurm, or it does not answer."""
    if not available():
        return None
    site = limits.read(myself())
    if site.config is not None:
        return site
    click.echo("note: Slurm does not answer, so limits and partitions are not known to this plan", err=True)
    return None
