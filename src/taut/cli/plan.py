"""`taut plan`: how large a study's jobs should be, when it will be done, what it will cost; and whether earlier plans came true."""

from __future__ import annotations

import json
import math
import time
from pathlib import Path
from typing import NamedTuple

import click

from taut.cli.common import is_frozen, locate, open_study
from taut.cli.work import at_least_one
from taut.definition import Definition
from taut.duration import parse_duration
from taut.errors import InputError
from taut.jobplan import entries, settings_of
from taut.queue import cache, screen
from taut.queue.account import bounds, unit
from taut.queue.choice import begun
from taut.queue.memory import peaks
from taut.queue.plan import GOALS, Plan, make
from taut.queue.promise import kept
from taut.queue.work import Known, Work
from taut.slurm import accounts, ledger, limits
from taut.slurm.calls import available, cluster_name, myself
from taut.slurm.jobs import Life
from taut.slurm.rounds import Rounds
from taut.slurm.settings import Settings
from taut.slurm.site import Site
from taut.snapshot import Snapshot
from taut.study import Study

__all__ = ["plan"]


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
@click.option("--longest", metavar="TIME", help="No job longer than this.")
@click.option("--svg", type=click.Path(), metavar="FILE", help="Draw a typical case.")
@click.option("--png", type=click.Path(), metavar="FILE", help="The same as PNG.")
@click.option("--json", "as_json", is_flag=True, help="All of it as numbers.")
@click.option("--check", is_flag=True, help="What was expected of jobs so far, and what came.")
def plan(
    study: str | None,
    trials: int | None,
    trial_time: str | None,
    spread: float | None,
    overhead: str | None,
    goal: str,
    history: str | None,
    longest: str | None,
    svg: str | None,
    png: str | None,
    as_json: bool,
    check: bool,
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
    said = _Said(
        trials, _seconds("--trial-time", trial_time), spread, _seconds("--overhead", overhead)
    ).checked()
    longest_seconds = _seconds("--longest", longest)
    if goal not in GOALS:
        from taut.errors import nearest

        raise InputError(
            f"{goal!r} is no goal{nearest(goal, GOALS)}; there are: {', '.join(GOALS)}", ("--goal",)
        )
    known = _known(study)
    if check:
        _check(known, as_json)
        return
    now = time.time()
    site = _site()
    cluster = site.config.cluster if site is not None and site.config is not None else cluster_name()
    work = said.work(known)
    learned = cache.load(cluster) if history is None else _learned(history, now)
    try:
        left = known.budget_left
        budget = math.inf if left is None else left
        room = bounds(known.settings, site, work.trials, longest_seconds, wider=True)._replace(reserve=budget)
        chosen = make(work, learned.waits, room, now, goal=goal, budget=budget)  # type: ignore[arg-type]
    except InputError as error:
        raise known.located(error) from None
    shown = screen.Screen(
        chosen,
        learned.waits,
        now,
        unit(known.settings),
        left,
        learned.said(now),
        peaks(known.snapshot, known.lives or ()),
    )
    _draw(chosen, learned, now, known, svg, png)
    if history is not None:
        cache.save(cluster, learned)
    if as_json:
        click.echo(json.dumps(screen.as_json(shown), indent=1))
        return
    click.echo("\n".join([*screen.lines(shown), "", *_next(chosen, known)]))


def _site() -> Site | None:
    """The cluster's limits; None where there is no Slurm, or it does not answer."""
    if not available():
        return None
    site = limits.read(myself())
    if site.config is not None:
        return site
    click.echo("note: Slurm does not answer, so limits and partitions are not known to this plan", err=True)
    return None


class _Known(NamedTuple):
    """What there is of the study. file: where it was read from, if that is a TOML file; folder: None if it was never run. lives: of its jobs."""

    target: str
    definition: Definition
    snapshot: Snapshot
    settings: Settings
    file: Path | None
    folder: Path | None
    rounds: Rounds | None
    lives: list[Life] | None

    @property
    def budget_left(self) -> float | None:
        """GPU-hours."""
        budget = self.definition.budget.gpu_hours
        if budget is None or not self.settings.gpus:
            return None
        spent = ledger.reserved(entries(self.rounds), self.lives or ()).gpu if self.rounds else 0.0
        return max(budget - spent, 0.0)

    def located(self, error: InputError) -> InputError:
        if self.file is None or not error.at or error.at[0].startswith("-"):
            return error
        from taut.studyfile import located

        return located(error, self.file)


def _known(target: str) -> _Known:
    """The study, as its file says it today and its directory knows it; looking leaves no trace."""
    path = Path(target)
    file: Path | None = None
    if path.is_dir() or is_frozen(path):
        study, folder = open_study(target), locate(target)
        definition, snapshot = study.definition, study.snapshot
    else:
        from taut.cli.run import _read
        from taut.layout import place

        file, definition = path, _read(path)
        folder = place(path, definition.name)
        if (folder / "definition").is_dir():
            snapshot = Study.of(folder).snapshot
        else:
            folder, snapshot = None, Snapshot(definition)
    settings = settings_of(definition)
    rounds, lives = None, None
    if folder is not None and (folder / "slurm").is_dir():
        rounds = Rounds(folder.absolute() / "slurm")
        lives = accounts.lives(rounds.folder, [one.job for one in rounds.all() if one.job is not None])
    return _Known(target, definition, snapshot, settings, file, folder, rounds, lives)


class _Said(NamedTuple):
    """What the command line says of the work."""

    trials: int | None
    trial: float | None
    spread: float | None
    overhead: float | None

    def checked(self) -> _Said:
        at_least_one("--trials", self.trials)
        if self.spread is not None and self.trial is None:
            raise InputError(
                "it belongs to a time; give --trial-time, too, or leave it out: what trials took has its own",
                ("--spread",),
            )
        if self.spread is not None and not 0.0 <= self.spread <= 10.0:
            raise InputError(f"{self.spread:g} is no spread; 0 to 10 is allowed, such as 0.4", ("--spread",))
        return self

    def work(self, known: _Known) -> Work:
        trial = None if self.trial is None else Known.said(self.trial, *_given(self.spread))
        overhead = None if self.overhead is None else Known.said(self.overhead)
        trials = known.definition.budget.trials if self.trials is None else self.trials
        try:
            return Work.of(
                known.snapshot, begun(known.lives or ()), trials=trials, trial=trial, overhead=overhead
            )
        except InputError as error:
            raise known.located(error) from None


def _given(value: float | None) -> tuple[float, ...]:
    return () if value is None else (value,)


def _seconds(option: str, text: str | None) -> float | None:
    if text is None:
        return None
    try:
        return parse_duration(text)
    except InputError as error:
        raise error.under(option) from None


def _learned(history: str, now: float) -> cache.Learned:
    """The queue from its past jobs."""
    learned, found = cache.learn(Path(history) if history else None, now, myself())
    if found.unread:
        click.echo(f"note: {found}", err=True)
    return learned


def _draw(
    chosen: Plan, learned: cache.Learned, now: float, known: _Known, svg: str | None, png: str | None
) -> None:
    if svg is None and png is None:
        return
    from taut.queue.predicted import course
    from taut.reports import gantt

    timeline = course(chosen, learned.waits, now)
    early, _, late = chosen.best.outlook.finish
    band = (early, late) if math.isfinite(late) else None
    words = screen.brief(chosen, unit(known.settings), known.budget_left)
    title, caption = f"{known.definition.name}: a typical case of the plan", words

    def drawn(dark: bool) -> str:
        return gantt.svg(timeline, title=title, caption=caption, finish=band, dark=dark)

    files: dict[str, bytes] = {}
    if png is not None:
        from taut.reports.png import png as as_png

        files[png] = as_png(drawn(dark=False))
    if svg is not None:
        files[svg] = drawn(dark=True).encode()
    for name, content in files.items():
        try:
            Path(name).write_bytes(content)
        except OSError as error:
            raise InputError(f"{name}: {error.strerror}; give a file that can be written") from None
        click.echo(f"{name}: a typical case", err=True)


def _next(chosen: Plan, known: _Known) -> list[str]:
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
    words = [f'time = "{written}"', f"workers = {shape.workers}"]
    if shape.slots != known.settings.slots:
        devices = known.settings.gpus or known.settings.cpus or 1
        what = "gpus" if known.settings.gpus else "cpus"
        words += [f"{what} = {shape.units}", f"per_trial = {{ {what} = {devices} }}"]
    return [
        f'to have it so: {", ".join(words)} in [on.slurm]; with "auto" taut run --on slurm plans again for each round'
    ]


def _check(known: _Known, as_json: bool) -> None:
    found = kept(known.snapshot, known.rounds.all() if known.rounds else (), known.lives)
    if as_json:
        click.echo(json.dumps(screen.check_json(found), indent=1))
    else:
        click.echo("\n".join(screen.check_lines(found)))
