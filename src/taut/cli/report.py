"""`taut report`: a study as one page that opens from disk."""

from __future__ import annotations

import contextlib
import os
import secrets
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import click

from taut.cli import fronts, pruning
from taut.cli.common import locate, open_study
from taut.cli.show import _said as status_of
from taut.errors import InputError, StudyError
from taut.queue.promise import Kept, kept
from taut.reports.actual import Jobs
from taut.reports.facts import Facts, Pick
from taut.reports.page import MARK, page
from taut.study import Study

__all__ = ["report"]

_EVERY = 10.0  # seconds between two pages of --watch at least, and ten times what one takes
_HEAD = 200  # bytes of a file that tell whether it is a report


@click.command(epilog="Example:  taut report runs/lora --to lora.html")
@click.argument("study")
@click.option(
    "--to",
    "target",
    type=click.Path(),
    help="The file to write; report.html in the study's directory if left out.",
)
@click.option(
    "--watch", is_flag=True, help="Write it anew as the study goes on; the open page follows by itself."
)
@click.option(
    "--verify",
    "check",
    is_flag=True,
    help="Derive every suggestion again, and say in the summary whether it came out.",
)
def report(study: str, target: str | None, watch: bool, check: bool) -> None:
    """The study in STUDY as one HTML page: best parameters, course, costs, figures, failures and all trials.

    It opens from disk without a network, and can be sent to others. A page that is there is written over; any other file is not.
    """
    opened, folder = open_study(study), locate(study).absolute()
    path = Path(target) if target is not None else folder / "report.html"
    _check(path)
    said = str(locate(study))
    if not watch:
        _write(path, _page(opened, said, folder, check, None))
        click.echo(f"{path}: {len(opened.store.snapshot.known)} trials")
        return
    click.echo(f"{path} follows the study until it is done; Ctrl-C ends that")
    try:
        _follow(opened, said, folder, check, path)
    finally:  # the last page does not load itself again
        _write(path, _page(opened, said, folder, check, None))


def _follow(study: Study, said: str, folder: Path, check: bool, path: Path) -> None:
    seen: object = None
    while True:
        snapshot = study.snapshot
        if study.store.done:
            return
        pause = _EVERY
        if seen != dict(snapshot.seen):
            seen, begin = dict(snapshot.seen), time.monotonic()
            _write(path, _page(study, said, folder, check, int(_EVERY)))
            pause = max(_EVERY, 10.0 * (time.monotonic() - begin))
        until = time.monotonic() + pause
        while time.monotonic() < until and not study.store.done:
            time.sleep(min(1.0, _EVERY / 10))
            study.snapshot  # noqa: B018 - reads what is new


def _page(study: Study, said: str, folder: Path, check: bool, refresh: int | None) -> str:
    snapshot, now = study.snapshot, study.store.clock.now()
    savings, counted = pruning._savings(study, folder)
    queue = _queue(study, folder)
    verified = _verified(folder) if check else f"not checked: taut verify {said}"
    summary = [*_summary(study, said, folder), ("verified", verified)]
    facts = Facts(
        now=now,
        summary=summary,
        picks=_picks(study),
        jobs=queue.jobs,
        gpus=queue.gpus if counted or study.definition.pruner is None else None,
        requested=queue.requested,
        kept=queue.kept,
        savings=savings if study.definition.pruner is not None else None,
        refresh=refresh,
    )
    return page(snapshot, pruning._pruner(study), facts)


def _summary(study: Study, said: str, folder: Path) -> Iterator[tuple[str, str]]:
    """What `taut status` says, with the goal before it."""
    definition = study.definition
    aims = [f"{'minimize' if aim.minimize else 'maximize'} {aim.metric}" for aim in definition.objectives]
    conditions = f", subject to {' and '.join(definition.subject_to)}" if definition.subject_to else ""
    yield "goal", f"{' and '.join(aims)}{conditions}"
    yield "study", said
    lines = [line for line, _ in status_of(study, said, folder)[1:] if not line.startswith(" ")]
    if (folder / "slurm").is_dir():
        from taut.cli import jobs

        lines += [line for line, _ in jobs.lines(study, folder) if not line.startswith(" ")]
    shown = bool(_picks(study))
    for line in lines:
        name, sep, text = line.partition(": ")
        if not sep or " " in name:
            yield "note", line
        elif not (shown and name in ("best", "knee")):
            yield name, text


def _picks(study: Study) -> list[Pick]:
    """The trials to look at first, with reasons."""
    snapshot = study.snapshot
    if not study.ranking:
        return []
    if fronts.several(study.definition) and (found := fronts.picks(snapshot)):
        return [Pick(*pick) for pick in found]
    best = study.ranking[0]
    aim = study.definition.objectives[0]
    count = len(study.ranking)
    many = f"{count} complete trials" if count > 1 else "one complete trial"
    kept = " that keep the constraints" if study.definition.subject_to else ""
    why = f"the {'lowest' if aim.minimize else 'highest'} {aim.metric} of {many}{kept}"
    return [Pick("best", best, why)]


class _Queue(NamedTuple):
    """What Slurm knows of the study's jobs, the GPUs for each slot of a job, the GPU-seconds that were asked for, and what was expected of jobs."""

    jobs: Jobs | None = None
    gpus: dict[str, float] | None = None
    requested: float | None = None
    kept: Sequence[Kept] = ()


def _queue(study: Study, folder: Path) -> _Queue:
    if not (folder / "slurm").is_dir():
        return _Queue()
    from taut.cli import jobs
    from taut.jobplan import entries
    from taut.slurm import accounts, ledger
    from taut.slurm.rounds import Rounds

    rounds = Rounds(folder / "slurm")
    records = rounds.all()
    lives = accounts.lives(folder / "slurm", [one.job for one in records if one.job is not None])
    known = Jobs.of(records, lives or [])
    shares, writers = jobs.gpu_shares(study, folder), study.store.snapshot.writers
    gpus = {writers[writer].job.label: share for writer, share in shares.items()}  # type: ignore[union-attr]
    requested = 3600.0 * ledger.reserved(entries(rounds), ()).gpu
    return _Queue(
        known, gpus or None, requested or None, kept(study.store.snapshot, records, lives, study.store.over)
    )


def _verified(folder: Path) -> str:
    from taut.opening import make_proposals
    from taut.verify import verify as replay

    result = replay(folder, make_proposals)
    if result.good:
        return f"yes: all {result.suggestions} suggestions came out again, and no record is damaged"
    differing = f"{len(result.differences)} of {result.suggestions + result.judgements} decisions differ"
    return f"NO: {differing}, {len(result.damaged)} damaged records, {len(result.doubled)} doubled attempts"


# ---------------------------------------------------------------------- the file


def _check(path: Path) -> None:
    """Raise `InputError` for what cannot be written, or must not be written over."""
    if path.is_dir():
        raise InputError(
            f"{path} is a directory; give the name of a file, such as {path / 'report.html'}", ("--to",)
        )
    if not path.parent.is_dir():
        raise InputError(
            f"{path.parent} is not a directory; make it first, or choose another file", ("--to",)
        )
    if os.path.lexists(path):
        with contextlib.suppress(OSError), open(path, "rb") as file:
            if MARK.encode() in file.read(_HEAD):
                return
        raise InputError(f"{path} exists and is no report of taut; choose another file", ("--to",))


def _write(path: Path, text: str) -> None:
    """Put the page there, whole: who reads it meanwhile has the old one."""
    draft = path.with_name(f".{path.name}.{secrets.token_hex(8)}.part")
    try:
        # Nobody knows the name beforehand, and what is there already is not followed or written to.
        descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o666)
        with open(descriptor, "w", encoding="utf-8", errors="replace") as file:
            file.write(text)
        os.replace(draft, path)
    except OSError as error:
        reason = f"{path} cannot be written: {error.strerror or error}"
        raise StudyError(f"{reason}; choose a place of your own with --to") from error
    finally:
        with contextlib.suppress(OSError):
            draft.unlink(missing_ok=True)
