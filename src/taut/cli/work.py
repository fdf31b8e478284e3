"""`taut worker`, and what it shares with `taut run` on this machine: taking part in a study."""

from __future__ import annotations

import contextlib
import math
import shlex
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import NoReturn

import click

from taut import allocation
from taut.cli.common import base_of, locate, open_study
from taut.cli.progress import Progress, epilogue
from taut.definition import Budget, Definition
from taut.duration import parse_duration
from taut.errors import InputError
from taut.executors.base import Executor
from taut.executors.places import of_job, room
from taut.hyperqueue import within_task
from taut.interrupts import Interrupts
from taut.metrics.meters import lacking
from taut.opening import make_proposals
from taut.reaper import LINGER
from taut.samplers.base import unheard
from taut.study import Study
from taut.verdict import needed
from taut.worker import Mode, Worker

__all__ = ["MODES", "again", "at_least_one", "check_command", "work", "worker"]

MODES = click.Choice(["sequential", "batch", "async"])


@click.command(epilog="Example:  taut worker runs/lora --for 2h")
@click.argument("directory")
@click.option("--workers", type=int, help="Trials side by side in this worker (default: 1).")
@click.option(
    "--trial-gpus", type=float, metavar="N", help="GPUs of each trial, of those there are: 2, or 0.5."
)
@click.option("--mode", type=MODES, help="async (default), batch or sequential.")
@click.option("--for", "duration", metavar="TIME", help="Start no trial after this time: 90s, 30m, 2h.")
@click.option("--batch", type=int, help="With --mode batch: trials of a batch, over all workers.")
@click.option("--once", is_flag=True, help="With --mode batch: end when the batch is complete.")
@click.option("--finish", type=int, metavar="N", help="End after N trials have been finished here.")
@click.option("--begin", type=int, metavar="N", help="Begin N trials at most.")
@click.option("--notice", metavar="TIME", help="In a job: ask trials to checkpoint so long before its end.")
@click.option("--grace", metavar="TIME", help="In a job: time from SIGTERM to the kill.")
def worker(
    directory: str,
    workers: int | None,
    trial_gpus: float | None,
    mode: Mode | None,
    duration: str | None,
    batch: int | None,
    once: bool,
    finish: int | None,
    begin: int | None,
    notice: str | None,
    grace: str | None,
) -> int:
    """Take part in the study in DIRECTORY until nothing is left to start.

    Any number of workers may do so, on every machine that sees the directory. In a job of Slurm it ends before the
    job does: it starts no trial that will probably not fit, and asks those that run to checkpoint.
    """
    seconds = None if duration is None else parse_duration(duration)
    at_least_one("--workers", workers)
    at_least_one("--batch", batch)
    at_least_one("--finish", finish)
    at_least_one("--begin", begin)
    if trial_gpus is not None and not (0 < trial_gpus < 1 or (trial_gpus >= 1 and trial_gpus.is_integer())):
        raise InputError(
            f"{trial_gpus:g} is not allowed; whole GPUs, or a part of one, are allowed; write, for instance, 0.5",
            ("--trial-gpus",),
        )
    if (batch is not None or once) and mode != "batch":
        raise InputError("it goes with --mode batch", ("--once" if once else "--batch",))
    study = open_study(directory)
    definition, folder = study.definition, locate(directory)
    walltime = study.store.walltime
    if notice is not None:
        walltime.be_given(parse_duration(notice))
    if grace is not None:
        walltime.grace = parse_duration(grace)
    given = {"--workers": workers, "--trial-gpus": trial_gpus, "--mode": mode}
    line = again("worker", directory, given)
    with Interrupts(walltime, _interrupted):  # also while the objective is loaded, which may take minutes
        executor = executor_for(definition, folder, workers or 1, trial_gpus)
        return take_part(study, executor, folder, line, mode or "async", seconds, batch, once, finish, begin)


def again(command: str, target: str, options: Mapping[str, object]) -> str:
    """The command line that goes on, ready to be pasted."""
    words = [word for name, value in options.items() if value is not None for word in (name, str(value))]
    return shlex.join(["taut", command, target, *words])


def at_least_one(option: str, value: int | None) -> None:
    if value is not None and value < 1:
        raise InputError(f"{value} is too small; use a whole number from 1", (option,))


def work(
    definition: Definition,
    folder: Path,
    workers: int | None,
    mode: Mode | None,
    seconds: float | None,
    line: str,
    keep: Callable[[], None],
) -> int:
    """Create or resume the study that `definition` asks for, and take part in it until it is done.

    line: the command that goes on after an interruption. keep: called once the study is there.
    """
    local = definition.on.get("local", {})
    each = local.get("per_trial", {}).get("gpus")
    try:
        fit = 1 if each is None or workers or "workers" in local else room(each)
        slots: int = local.get("workers", fit) if workers is None else workers
        of_job(slots, each)
    except InputError as error:
        raise InputError(error.message, ("on", "local", "per_trial", "gpus")) from None
    # Before anything is written: it may refuse the command.
    executor = executor_for(definition, folder, slots, each)
    try:
        _check_budget(definition.budget)
        space = definition.parsed_space()
        endless = make_proposals(definition, space).endless
        if definition.budget == Budget() and seconds is None and endless:
            raise InputError(
                "no end is in sight: add [budget] trials = 100 to the file, or give --trials or --for"
            )
        study = Study.of(folder, definition)
        study.store.save()
    except BaseException:
        executor.close()
        raise
    keep()
    with Interrupts(study.store.walltime, _interrupted):
        return take_part(study, executor, folder, line, mode or local.get("mode", "async"), seconds)


def _check_budget(budget: Budget) -> None:
    if budget.gpu_hours is None:
        return
    if budget == Budget(gpu_hours=budget.gpu_hours):
        raise InputError(
            "GPU-hours are those of a queue's jobs, and nothing else ends the study here; "
            "run it with --on slurm, or add trials or hours",
            ("budget", "gpu_hours"),
        )
    click.echo("note: gpu_hours counts the jobs of a queue, and nothing on this machine", err=True)


def take_part(
    study: Study,
    executor: Executor,
    folder: Path,
    line: str,
    mode: Mode,
    seconds: float | None,
    batch: int | None = None,
    once: bool = False,
    finish: int | None = None,
    begin: int | None = None,
) -> int:
    """Work for the study until there is nothing to do, and say what came of it."""
    store, job = study.store, allocation.here()
    lent = job is not None or within_task()  # somebody else may use the place that we do not need
    store.pinned = study.definition.evaluation
    sampler = store.proposals.sampler
    caution = sampler.warning(study.space) if study.space.names else None
    lack = lacking.caution(store.must, executor.gpus)
    for note in (caution, unheard(sampler, study.definition), lack):
        if note:
            click.echo(f"note: {note}", err=True)
    began = time.monotonic()
    worker = Worker(
        store,
        executor,
        mode=mode,
        deadline=None if seconds is None else began + seconds,
        told=(progress := Progress(study, folder, executor.slots)).told,
        batch=batch,
        once=once,
        finish=math.inf if finish is None else finish,
        begin=math.inf if begin is None else begin,
        linger=LINGER if lent else math.inf,
    )
    try:
        with progress:
            why = worker.run()
    except KeyboardInterrupt:
        study.close()
        safe = store.snapshot.n_finished
        with contextlib.suppress(OSError):  # the terminal may be what has just gone
            click.echo(
                f"interrupted: {safe} finished trials are safe in {folder}; go on with: {line}", err=True
            )
        return 130
    if within_task() and not store.done and (leaving := store.walltime.leaving()):
        return _stay(study, leaving)
    study.close()
    if not lent:
        return epilogue(study, folder, why, time.monotonic() - began)
    if job is not None and (store.done or worker.idle):
        from taut.submission import wind_down

        wind_down(folder.absolute(), store.done)
    click.echo(f"{why}; {store.snapshot.n_finished} trials are finished")
    return 0


def _stay(study: Study, why: str) -> int:
    """Wait for the end, which is near: HyperQueue starts a task again elsewhere if its worker ends before it does."""
    study.close()
    click.echo(f"{why}; what is left goes on when HyperQueue starts this task again")
    with contextlib.suppress(KeyboardInterrupt):
        while True:
            time.sleep(1.0)
    return 130


def _interrupted() -> None:
    raise KeyboardInterrupt


def check_command(definition: Definition, folder: Path) -> None:
    """Refuse a command that cannot be run, as far as it can be told without starting anything."""
    asked = definition.evaluation
    if asked.command is not None:
        executor_for(definition, folder, 1).close()
    elif asked.function is None:
        _refuse(folder)


def executor_for(
    definition: Definition, folder: Path, slots: int, trial_gpus: float | None = None
) -> Executor:
    """What evaluates this study's trials on this machine, `slots` side by side."""
    places = of_job(slots, trial_gpus)
    asked, space = definition.evaluation, definition.parsed_space()
    base, must = base_of(definition, folder), needed(definition)
    if asked.command is not None:
        from taut.executors.command import CommandExecutor

        return CommandExecutor(
            asked, base=base, slots=slots, objectives=must, parameters=space.names, places=places
        )
    if asked.function is not None:
        from taut.executors.pool import PoolExecutor

        return PoolExecutor(
            asked.function,
            prunes=definition.pruner is not None,
            slots=slots,
            names=space.names,
            optional=sorted(space.optional),
            main=[objective.metric for objective in definition.objectives],
            base=str(base),
            timeout=asked.timeout,
            capture=True,
            places=places,
            fresh=asked.fresh_process,
        )
    _refuse(folder)


def _refuse(folder: Path) -> NoReturn:
    raise InputError(
        f"{folder}: this study was made by a Python program and names no command; run that program, "
        "whose study.run() or study.work() takes part"
    )
