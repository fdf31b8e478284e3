"""`taut run` and `taut worker`."""

from __future__ import annotations

import contextlib
import os
import shlex
import shutil
import time
from collections.abc import Mapping
from pathlib import Path

import click
import msgspec

from taut.cli.common import base_of, is_frozen, locate, not_toml, open_study, place
from taut.cli.progress import Progress, epilogue
from taut.definition import Budget, Definition
from taut.duration import parse_duration
from taut.errors import InputError
from taut.executors.base import Executor
from taut.opening import make_sampler
from taut.study import Study
from taut.verdict import needed
from taut.worker import Mode, Worker

__all__ = ["run", "worker"]

_MODES = click.Choice(["sequential", "batch", "async"])


@click.command(
    epilog="Example:  taut run study.toml --workers 4 --trials 100",
)
@click.argument("study")
@click.option(
    "--on",
    "where",
    default="local",
    metavar="PLACE",
    help="Where trials run: local (slurm and hyperqueue are not built yet).",
)
@click.option(
    "--workers", type=int, help="Trials side by side on this machine (default: [on.local] workers, or 1)."
)
@click.option("--mode", type=_MODES, help="async (default), batch or sequential.")
@click.option("--trials", type=int, help="Finished trials that the whole study is to have.")
@click.option("--gpu-hours", type=float, help="GPU-hours that the whole study may use (with a queue).")
@click.option("--for", "duration", metavar="TIME", help="Start no trial after this time: 90s, 30m, 2h.")
@click.option(
    "--dir", "directory", type=click.Path(), help="Keep the study here (default: runs/NAME beside the file)."
)
def run(
    study: str,
    where: str,
    workers: int | None,
    mode: Mode | None,
    trials: int | None,
    gpu_hours: float | None,
    duration: str | None,
    directory: str | None,
) -> int:
    """Run the study that STUDY (a study.toml, or a study directory) describes, to its end.

    A study that exists is resumed: trials counts all of them, over all workers and resumptions. Start the
    same command in more terminals to have more workers. Ctrl-C stops within two seconds and loses nothing.
    """
    if where != "local":
        raise InputError(f"--on {where}: only local is built so far; leave --on out to run on this machine")
    if gpu_hours is not None:
        raise InputError(
            "--gpu-hours needs a queue that counts them, which is not built yet; use --trials or --for"
        )
    seconds = None if duration is None else parse_duration(duration)
    _at_least_one("--workers", workers)
    _at_least_one("--trials", trials)
    path = Path(study)
    given = {"--dir": directory, "--workers": workers, "--mode": mode, "--trials": trials}
    again = _again("run", study, given)
    if path.is_dir() or is_frozen(path):
        if directory is not None:
            raise InputError(f"{study} is a study already; --dir goes with a study.toml elsewhere")
        folder = locate(study)
        definition = open_study(study).definition
        if not path.is_dir():
            _check_frozen(path, definition)
        return _work(_with_trials(definition, trials), folder, workers, mode, seconds, again)
    definition = _read(path)
    folder = Path(directory) if directory is not None else place(path, definition.name)
    if folder.exists() and not folder.is_dir():
        raise InputError(f"{folder} is a file; give a directory for the study", ("--dir",))
    if folder.exists() and not (folder / "definition").exists() and any(folder.iterdir()):
        own = place(Path(path.name), definition.name)
        raise InputError(
            f"{folder} holds other files; give a directory of its own, such as {own}", ("--dir",)
        )
    definition = _portable(definition, folder)
    if _unchanged(path, folder):  # then what was said since, such as --trials 200, stands
        stood = Study.of(folder).definition
        definition = msgspec.structs.replace(stood, evaluation=definition.evaluation)
    definition = _with_trials(definition, trials)
    try:
        return _work(definition, folder, workers, mode, seconds, again, file=path)
    except InputError as error:
        if not error.at or error.at[0].startswith("-"):
            raise
        from taut.studyfile import located

        raise located(error, path) from None


@click.command(epilog="Example:  taut worker runs/lora --for 2h")
@click.argument("directory")
@click.option("--workers", type=int, help="Trials side by side in this worker (default: 1).")
@click.option("--mode", type=_MODES, help="async (default), batch or sequential.")
@click.option("--for", "duration", metavar="TIME", help="Start no trial after this time: 90s, 30m, 2h.")
def worker(directory: str, workers: int | None, mode: Mode | None, duration: str | None) -> int:
    """Take part in the study in DIRECTORY until nothing is left to start.

    Any number of workers may do so, on every machine that sees the directory.
    """
    seconds = None if duration is None else parse_duration(duration)
    _at_least_one("--workers", workers)
    definition = open_study(directory).definition
    again = _again("worker", directory, {"--workers": workers, "--mode": mode})
    return _work(definition, locate(directory), workers, mode, seconds, again)


def _again(command: str, target: str, options: Mapping[str, object]) -> str:
    """The command line that goes on, ready to be pasted."""
    words = [word for name, value in options.items() if value is not None for word in (name, str(value))]
    return shlex.join(["taut", command, target, *words])


def _unchanged(file: Path, folder: Path) -> bool:
    """Whether the study was last run from just this text."""
    try:
        return (folder / "study.toml").read_bytes() == file.read_bytes() and (folder / "definition").is_dir()
    except FileNotFoundError:
        return False


def _check_frozen(copy: Path, definition: Definition) -> None:
    """Refuse a study's own copy that was edited: the study would go on as it was."""
    from taut import studyfile

    edited = _with_trials(_portable(studyfile.read(copy), copy.parent), definition.budget.trials)
    same = {"name": definition.name, "evaluation": definition.evaluation}  # the copy stands elsewhere
    if msgspec.structs.replace(edited, **same) != definition:
        raise InputError(
            f"{copy} is the study's own copy, and was edited; edit the original and run that instead"
        )


def _at_least_one(option: str, value: int | None) -> None:
    if value is not None and value < 1:
        raise InputError(f"{value} is too small; use a whole number from 1", (option,))


def _read(path: Path) -> Definition:
    """The definition in a study.toml, as far as it can be run today."""
    if not path.exists():
        raise InputError(f"{path}: there is no such file; `taut init` writes a study.toml to start from")
    if path.suffix != ".toml":
        raise InputError(not_toml(str(path)))
    from taut import studyfile
    from taut.samplers import registry

    definition = studyfile.read(path, samplers=registry.names())
    if definition.budget.gpu_hours is not None:
        error = InputError(
            "gpu_hours needs a queue that counts them, which is not built yet; use trials or hours",
            ("budget", "gpu_hours"),
        )
        raise studyfile.located(error, path)
    if definition.pruner is not None:
        raise studyfile.located(
            InputError("pruners are not built yet; leave [pruner] out", ("pruner",)), path
        )
    return definition


def _with_trials(definition: Definition, trials: int | None) -> Definition:
    if trials is None:
        return definition
    budget = msgspec.structs.replace(definition.budget, trials=trials)
    return msgspec.structs.replace(definition, budget=budget)


def _portable(definition: Definition, folder: Path) -> Definition:
    """The definition with its base as seen from the study directory, so that both can move together."""
    base = Path(definition.evaluation.base)
    inside = os.path.realpath(folder).startswith(os.path.realpath(base) + os.sep)
    text = os.path.relpath(os.path.realpath(base), os.path.realpath(folder)) if inside else str(base)
    return msgspec.structs.replace(
        definition, evaluation=msgspec.structs.replace(definition.evaluation, base=text)
    )


def _work(
    definition: Definition,
    folder: Path,
    workers: int | None,
    mode: Mode | None,
    seconds: float | None,
    again: str,
    file: Path | None = None,
) -> int:
    """Take part in the study until it is done. again: the command that goes on after an interruption."""
    local = definition.on.get("local", {})
    slots: int = local.get("workers", 1) if workers is None else workers
    executor = _executor(definition, folder, slots)  # before anything is written: it may refuse the command
    try:
        space = definition.parsed_space()
        endless = make_sampler(definition, space).limit(space) is None
        if definition.budget == Budget() and seconds is None and endless:
            raise InputError(
                "no end is in sight: add [budget] trials = 100 to the file, or give --trials or --for"
            )
        study = Study.of(folder, definition)
        study.store.save()
        study.store.pinned = study.definition.evaluation
    except BaseException:
        executor.close()
        raise
    if file is not None:
        shutil.copyfile(file, folder / "study.toml")
    warning = study.store.proposals.sampler.warning(study.space)
    if warning:
        click.echo(f"note: {warning}", err=True)
    began = time.monotonic()
    worker = Worker(
        study.store,
        executor,
        mode=mode or local.get("mode", "async"),
        deadline=None if seconds is None else began + seconds,
        told=(progress := Progress(study, folder, slots)).told,
    )
    try:
        with progress:
            why = worker.run()
    except KeyboardInterrupt:
        study.close()
        safe = study.store.snapshot.n_finished
        with contextlib.suppress(OSError):  # the terminal may be what has just gone
            click.echo(
                f"interrupted: {safe} finished trials are safe in {folder}; go on with: {again}", err=True
            )
        return 130
    study.close()
    return epilogue(study, folder, why, time.monotonic() - began)


def _executor(definition: Definition, folder: Path, slots: int) -> Executor:
    """What evaluates this study's trials on this machine."""
    asked, space = definition.evaluation, definition.parsed_space()
    base, must = base_of(definition, folder), needed(definition)
    if asked.command is not None:
        from taut.executors.command import CommandExecutor

        return CommandExecutor(asked, base=base, slots=slots, objectives=must, parameters=space.names)
    if asked.function is not None:
        from taut.executors.pool import PoolExecutor

        return PoolExecutor(
            asked.function,
            slots=slots,
            names=space.names,
            optional=sorted(space.optional),
            main=[objective.metric for objective in definition.objectives],
            base=str(base),
            timeout=asked.timeout,
            capture=True,
        )
    raise InputError(
        f"{folder}: this study was made by a Python program and names no command; run that program, "
        "whose study.run() or study.work() takes part"
    )
