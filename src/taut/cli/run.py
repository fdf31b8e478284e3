"""`taut run`."""

from __future__ import annotations

import math
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import click
import msgspec

from taut.cli.common import CODE, based, is_frozen, locate, not_toml, open_study, place
from taut.cli.work import MODES, again, at_least_one, check_command, work
from taut.definition import Definition
from taut.duration import parse_duration
from taut.errors import InputError, nearest
from taut.study import Study
from taut.worker import Mode

__all__ = ["run"]

_PLACES = ("local", "slurm", "hyperqueue")


@click.command(
    epilog="Example:  taut run study.toml --workers 4 --trials 100",
)
@click.argument("study")
@click.option(
    "--on",
    "where",
    default="local",
    metavar="PLACE",
    help="Where trials run: local; slurm: submit jobs and return; hyperqueue: submit tasks and return.",
)
@click.option(
    "--workers",
    type=int,
    help="Trials side by side on this machine (default: [on.local] workers, or 1); elsewhere jobs or tasks at a time.",
)
@click.option("--mode", type=MODES, help="async (default), batch or sequential.")
@click.option("--trials", type=int, help="Finished trials that the whole study is to have.")
@click.option("--gpu-hours", type=float, help="GPU-hours that the study's jobs may use, on slurm.")
@click.option("--for", "duration", metavar="TIME", help="Start no trial after this time: 90s, 30m, 2h.")
@click.option(
    "--dir", "directory", type=click.Path(), help="Keep the study here (default: runs/NAME beside the file)."
)
@click.option("--dry-run", is_flag=True, help="Not local: show the scripts and submit nothing.")
def run(
    study: str,
    where: str,
    workers: int | None,
    mode: Mode | None,
    trials: int | None,
    gpu_hours: float | None,
    duration: str | None,
    directory: str | None,
    dry_run: bool,
) -> int:
    """Run the study that STUDY (a study.toml, or a study directory) describes, to its end.

    A study that exists is resumed: trials counts all of them, over all workers and resumptions. Start the
    same command in more terminals to have more workers. Ctrl-C stops within two seconds and loses nothing.

    With --on slurm it submits jobs as [on.slurm] in the file says and returns; they carry the study to its end. With
    --on hyperqueue likewise, tasks for the HyperQueue server that you have started.
    """
    _check_place(where, gpu_hours, duration, dry_run)
    seconds = None if duration is None else parse_duration(duration)
    at_least_one("--workers", workers)
    at_least_one("--trials", trials)
    path = Path(study)
    given = {"--dir": directory, "--workers": workers, "--mode": mode, "--trials": trials}
    line = again("run", study, given)
    if path.is_dir() or is_frozen(path):
        if directory is not None:
            raise InputError(f"{study} is a study already; --dir goes with a study.toml elsewhere")
        folder = locate(study)
        definition = open_study(study).definition
        if not path.is_dir():
            _check_frozen(path, definition)
        definition = _with_trials(definition, trials)
        if where != "local":
            return _submit(where, definition, folder, workers, mode, gpu_hours, dry_run)
        return work(definition, folder, workers, mode, seconds, line, lambda: None)
    definition = _read(path)
    folder = Path(directory) if directory is not None else place(path, definition.name)
    if folder.exists() and not folder.is_dir():
        raise InputError(f"{folder} is a file; give a directory for the study", ("--dir",))
    if folder.exists() and not (folder / "definition").exists() and _foreign(folder):
        own = place(Path(path.name), definition.name)
        raise InputError(
            f"{folder} holds other files; give a directory of its own, such as {own}", ("--dir",)
        )
    base = Path(definition.evaluation.base)
    definition = _portable(definition, folder)
    if (folder / CODE).is_dir():  # the study runs its own copy of the project
        definition = based(definition, CODE)
    if _unchanged(path, folder):  # then what was said since, such as --trials 200, stands
        stood = Study.of(folder).definition
        definition = msgspec.structs.replace(stood, evaluation=definition.evaluation)
    definition = _with_trials(definition, trials)

    def keep() -> None:
        shutil.copyfile(path, folder / "study.toml")

    try:
        if where != "local":
            return _submit(where, definition, folder, workers, mode, gpu_hours, dry_run, base, keep)
        return work(definition, folder, workers, mode, seconds, line, keep)
    except InputError as error:
        if not error.at or error.at[0].startswith("-"):
            raise
        from taut.studyfile import located

        raise located(error, path) from None


def _check_place(where: str, gpu_hours: float | None, duration: str | None, dry_run: bool) -> None:
    """Refuse options that mean nothing where the study is to run."""
    if where not in _PLACES:
        raise InputError(
            f"{where!r} is not a place; {', '.join(_PLACES)} are allowed{nearest(where, _PLACES)}", ("--on",)
        )
    if duration is not None and where != "local":
        jobs, length = "jobs", 'time = "2h" in [on.slurm] for the length of a job, or hours in [budget]'
        if where == "hyperqueue":
            jobs, length = "tasks", "hours in [budget]"
        raise InputError(
            f"it counts from a worker's start, and {jobs} start when the queue lets them; write {length}",
            ("--for",),
        )
    if where == "slurm" and gpu_hours is not None and not 0 < gpu_hours < math.inf:
        raise InputError(f"{gpu_hours} is not a number of hours; use one above 0", ("--gpu-hours",))
    for option, given, places in (
        ("--gpu-hours", gpu_hours is not None, ("slurm",)),
        ("--dry-run", dry_run, ("slurm", "hyperqueue")),
    ):
        if given and where not in places:
            instead = "on this machine use --trials or --for" if where == "local" else "use --trials"
            raise InputError(f"it goes with --on {' and '.join(places)}; {instead}", (option,))


def _unchanged(file: Path, folder: Path) -> bool:
    """Whether the study was last run from just this text."""
    try:
        return (folder / "study.toml").read_bytes() == file.read_bytes() and (folder / "definition").is_dir()
    except FileNotFoundError:
        return False


def _check_frozen(copy: Path, definition: Definition) -> None:
    """Refuse a study's own copy that was edited: the study would go on as it was."""
    from taut import studyfile

    # The copy stands elsewhere, and budget and jobs may have been changed by options since.
    same = {name: getattr(definition, name) for name in ("name", "evaluation", "budget", "on")}
    if msgspec.structs.replace(studyfile.read(copy), **same).asked != definition.asked:
        raise InputError(
            f"{copy} is the study's own copy, and was edited; edit the original and run that instead"
        )


def _read(path: Path) -> Definition:
    """The definition in a study.toml, as far as it can be run today."""
    if not path.exists():
        raise InputError(f"{path}: there is no such file; `taut init` writes a study.toml to start from")
    if path.suffix != ".toml":
        raise InputError(not_toml(str(path)))
    from taut import studyfile
    from taut.pruners import registry as pruners
    from taut.samplers import registry

    return studyfile.read(path, samplers=registry.names(), pruners=pruners.names())


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
    return based(definition, text)


def _foreign(folder: Path) -> bool:
    """Whether a directory without a study holds anything but what taut puts there before it."""
    return any(path.name != CODE and not path.name.startswith(f".{CODE}.") for path in folder.iterdir())


def _submit(
    where: str,
    definition: Definition,
    folder: Path,
    workers: int | None,
    mode: Mode | None,
    gpu_hours: float | None,
    dry_run: bool,
    project: Path | None = None,
    keep: Callable[[], None] = lambda: None,
) -> int:
    """Hand the study to a queue. project: where the user's files are. keep: called once the study is there."""
    if where == "hyperqueue":
        from taut.cli import hyperqueue

        definition = hyperqueue.requested(definition, workers, mode)
        check_command(definition, folder)
        return hyperqueue.submit(definition, folder, dry_run, keep)
    from taut.cli.submit import requested, submit

    definition = requested(definition, workers, mode, gpu_hours)
    if not definition.on["slurm"].get("container"):  # what is in the image cannot be seen from here
        check_command(definition, folder)
    return submit(definition, folder, dry_run, project, keep)
