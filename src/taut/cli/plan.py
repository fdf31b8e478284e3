"""`taut plan`: how large a study's jobs should be, when it will be done, what it will cost; and whether earlier plans came true."""

from __future__ import annotations

import json
import math
import time
from pathlib import Path

import click

from taut.cli import plan_pictures, plan_rehearsal
from taut.cli.plan_queue import known_queue
from taut.cli.plan_study import KnownStudy, Said, known_study, seconds_of
from taut.cli.work import at_least_one
from taut.errors import InputError
from taut.queue import screen
from taut.queue.account import unit
from taut.queue.checked import check_json, check_lines
from taut.queue.choice import applied, for_budget, room_of
from taut.queue.enough import Left
from taut.queue.memory import peaks
from taut.queue.plan import GOALS, Plan
from taut.queue.promise import kept
from taut.slurm.settings import Settings

__all__ = ["plan"]

_REPEATS = 8


@click.command(epilog="Example:  taut plan study.toml --svg plan.svg")
@click.argument("study", required=False)
@click.option("--trials", type=int, help="Finished trials that the whole study is to have.")
@click.option("--trial-time", metavar="TIME", help="How long a trial takes on average: 90s, 6m, 2h.")
@click.option(
    "--spread", type=float, help="Standard deviation of that time over its mean (default 0.3); 0: all alike."
)
@click.option("--overhead", metavar="TIME", help="From a job's start to its first trial (default 2m).")
@click.option(
    "--goal", default="trade", metavar="GOAL", help="trade (default), finish (earliest), cost (least)."
)
@click.option(
    "--from-sacct",
    "history",
    is_flag=False,
    flag_value="",
    metavar="[FILE]",
    help="Learn the queue from accounting, or from a file (sacct -P, SWF); kept for later plans.",
)
@click.option(
    "--cluster", metavar="NAME", help="Whose queue, instead of this one's: learned earlier, or from a file."
)
@click.option("--longest", metavar="TIME", help="No job longer than this.")
@click.option(
    "--svg",
    type=click.Path(),
    metavar="FILE",
    help="Draw a typical case; with --check what was planned, and what came.",
)
@click.option("--png", type=click.Path(), metavar="FILE", help="The same as PNG.")
@click.option("--json", "as_json", is_flag=True, help="All of it as numbers.")
@click.option("--check", is_flag=True, help="What was expected of jobs so far, and what came.")
@click.option("--rehearse", is_flag=True, help="A finished study again, in other modes: regret by the hour.")
@click.option("--repeats", type=int, help="How often it is rehearsed in each mode (default 8).")
def plan(
    study: str | None,
    trials: int | None,
    trial_time: str | None,
    spread: float | None,
    overhead: str | None,
    goal: str,
    history: str | None,
    cluster: str | None,
    longest: str | None,
    svg: str | None,
    png: str | None,
    as_json: bool,
    check: bool,
    rehearse: bool,
    repeats: int | None,
) -> None:
    """How many jobs, and how long, for what is left of the study in STUDY (its study.toml, or its directory).

    It plays the study in jobs of every shape that the account's limits allow, with waits as this queue is known to have, and shows what will probably come of
    the best one and of others. How long trials take, and what a job needs before its first, it takes from the study's own; say it
    while there are none. It submits nothing: taut run STUDY --on slurm does, and plans by itself where time or workers are "auto".
    """
    if study is None and history and (Path(history).is_dir() or history.endswith(".toml")):
        study, history = history, ""  # taut plan --from-sacct study.toml
    if study is None:
        raise click.UsageError("Missing argument 'STUDY'.")
    said = Said(
        trials, seconds_of("--trial-time", trial_time), spread, seconds_of("--overhead", overhead)
    ).checked()
    at_least_one("--repeats", repeats)
    if repeats is not None and not rehearse:
        raise InputError("it belongs to a rehearsal; add --rehearse, or leave it out", ("--repeats",))
    longest_seconds = seconds_of("--longest", longest)
    if goal not in GOALS:
        from taut.errors import nearest

        raise InputError(
            f"{goal!r} is no goal{nearest(goal, GOALS)}; there are: {', '.join(GOALS)}", ("--goal",)
        )
    known = known_study(study)
    if check:
        _check(known, svg, png, as_json)
        return
    now = time.time()
    queue = known_queue(history, cluster, now)
    if rehearse:
        plan_rehearsal.show(known, said, queue, longest_seconds, goal, repeats or _REPEATS, now, as_json)  # type: ignore[arg-type]
        queue.save()
        return
    learned, site = queue.learned, queue.site
    if site is None and longest_seconds is None and known.settings.time is None:
        click.echo("note: jobs of up to 24 h are taken to be allowed; --longest says otherwise", err=True)
    work = said.work(known)
    try:
        hours = known.budget_left
        budget = Left.of(known.definition.budget, known.snapshot, now, math.inf if hours is None else hours)
        room = room_of(known.definition, known.settings, site, work.trials, longest_seconds)
        wanted = (known.budget.trials if trials is None else trials) is not None
        chosen = for_budget(work, learned.waits, room, now, budget, wanted=wanted, goal=goal)  # type: ignore[arg-type]
        chosen = known.present(chosen, learned.waits, now)
    except InputError as error:
        raise known.located(error) from None
    shown = screen.Screen(
        chosen,
        learned.waits,
        now,
        unit(known.settings),
        hours,
        learned.said(now),
        peaks(known.snapshot, known.lives or ()),
        budget.seconds,
        known.snapshot.n_finished,
        known.standing,
    )
    chart = None
    if svg or png or not as_json:
        words = screen.brief(chosen, unit(known.settings), hours)
        chart = plan_pictures.case(chosen, learned.waits, now, known.definition.name, words)
        plan_pictures.write(chart, svg, png)
    queue.save()
    if as_json or chart is None:
        click.echo(json.dumps(screen.as_json(shown), indent=1))
        return
    click.echo("\n".join([*screen.lines(shown), "", plan_pictures.shown(chart), "", *_next(chosen, known)]))


def _next(chosen: Plan, known: KnownStudy) -> list[str]:
    """How to have it so."""
    shape = chosen.best.shape
    minutes = math.ceil(shape.walltime / 60)
    written = (
        f"{minutes // 60}h{minutes % 60}m"
        if minutes % 60 and minutes > 60
        else f"{minutes // 60}h"
        if minutes >= 60
        else f"{minutes}m"
    )
    words = [f'time = "{written}"', f"workers = {shape.workers}", *_other_words(known.settings, chosen)]
    if known.jobs:
        numbers = " ".join(sorted({str(job.array or job.id) for job in known.jobs}))
        return [
            f"nothing needs to be done: the jobs that are there go on; to have the plan instead: scancel {numbers}, and taut run with {', '.join(words)} in [on.slurm]"
        ]
    return [
        f'to have it so: {", ".join(words)} in [on.slurm]; with "auto" taut run --on slurm plans again for each round'
    ]


def _other_words(settings: Settings, chosen: Plan) -> list[str]:
    """What else `[on.slurm]` would have to say: of the mode, and of jobs that hold more than one trial's share."""
    asked = applied(settings, chosen)
    words = [f'mode = "{asked.mode}"'] if asked.mode != settings.mode else []
    if asked.slots == settings.slots:
        return words
    gpus = asked.gpus if asked.gpu_type is None else f'"{asked.gpu_type}:{asked.gpus}"'
    words += [f"gpus = {gpus}"] * (asked.gpus > 0)
    words += [f"cpus = {asked.cpus}"] * (asked.cpus is not None)
    words += [f'memory = "{asked.memory}"'] * (asked.memory is not None)
    each = [f"gpus = {asked.trial_gpus:g}"] * (asked.trial_gpus is not None)
    each += [f"cpus = {asked.trial_cpus}"] * (asked.trial_cpus is not None)
    return [*words, f"per_trial = {{ {', '.join(each)} }}"]


def _check(known: KnownStudy, svg: str | None, png: str | None, as_json: bool) -> None:
    found = kept(known.snapshot, known.rounds.all() if known.rounds else (), known.lives, known.over)
    chart = plan_pictures.against(found, known, time.time())
    if chart is None and (svg or png):
        raise InputError(
            "no plan of this study was written down that could be drawn; leave it out",
            ("--svg" if svg else "--png",),
        )
    if chart is not None:
        plan_pictures.write(chart, svg, png)
    if as_json:
        click.echo(json.dumps(check_json(found), indent=1))
        return
    click.echo("\n".join(check_lines(found)))
    if chart is not None:
        click.echo(f"\n{plan_pictures.shown(chart)}")
