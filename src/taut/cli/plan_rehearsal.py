"""`taut plan STUDY --rehearse`: what a finished study would have found when, in other modes."""

from __future__ import annotations

import json

import click
import msgspec

from taut.cli.plan_queue import KnownQueue
from taut.cli.plan_study import KnownStudy, Said
from taut.errors import InputError
from taut.opening import make_proposals
from taut.queue.account import bounds, unit
from taut.queue.plan import Goal, make
from taut.queue.rehearsal import rehearsed
from taut.queue.simulate.replayed import Past, replayed

__all__ = ["show"]


def show(
    known: KnownStudy,
    said: Said,
    queue: KnownQueue,
    longest: float | None,
    goal: Goal,
    repeats: int,
    now: float,
    as_json: bool,
) -> None:
    """Rehearse all trials of the study, done or not, and show what came of it."""
    wanted = said.trials or known.definition.budget.trials or known.snapshot.n_finished
    work = said._replace(trials=wanted).work(known)._replace(trials=wanted)
    settings = msgspec.structs.replace(known.settings, mode="async")
    try:
        room = bounds(settings, queue.site, wanted, longest)
        plan = make(work, queue.learned.waits, room, now, goal=goal)
    except InputError as error:
        raise known.located(error) from None
    found = rehearsed(
        known.snapshot,
        make_proposals,
        plan,
        room,
        queue.learned.waits,
        now,
        unit(settings),
        repeats,
        None if said.trial is None else work.trial.time,
        _past(queue, room.unit, room.partition),
        lambda name: click.echo(f"rehearsing: {name}", err=True),
    )
    click.echo(json.dumps(found.as_json(), indent=1) if as_json else "\n".join(found.lines()))


def _past(queue: KnownQueue, unit: str | None, partition: str | None) -> Past | None:
    """Other people's jobs, where a history was read just now that says enough of them."""
    if queue.past is None:
        return None
    try:
        return replayed(queue.past, unit or "gpus", partition)
    except InputError as error:
        click.echo(f"note: {error}; so waits are drawn", err=True)
        return None
