"""`taut run --on hyperqueue`: submit tasks that carry a study to its end, say so, and return; what became of them."""

from __future__ import annotations

import math
import shlex
import time
from collections.abc import Callable
from pathlib import Path

import click
import msgspec

from taut.cli.common import warm_start_text
from taut.definition import Budget, Definition
from taut.errors import InputError, TautError
from taut.hyperqueue.rounds import SCRIPT, Rounds, Submitted
from taut.hyperqueue.script import task_script, worker_words
from taut.hyperqueue.server import Progress, Server, place
from taut.hyperqueue.settings import MOST, Settings
from taut.opening import make_proposals
from taut.samplers.base import unheard
from taut.study import Study
from taut.studyfile.hyperqueue import settings as read_settings

__all__ = ["lines", "requested", "submit"]

_WORKERS = 8  # where the file leaves it to us

Said = tuple[str, str]
"""A line, and what of it is news if it changes."""


def requested(definition: Definition, workers: int | None, mode: str | None) -> Definition:
    """The definition with what the command line says of the tasks; it holds for later submissions, too."""
    asked = {**definition.on.get("hyperqueue", {})}
    for name, value in (("workers", workers), ("mode", mode)):
        if value is not None:
            asked[name] = value
            if asked.get("tasks") == "trial":
                raise InputError('it is for tasks = "worker", and the study\'s are trials', (f"--{name}",))
    return msgspec.structs.replace(definition, on={**definition.on, "hyperqueue": asked})


def submit(definition: Definition, folder: Path, dry_run: bool, keep: Callable[[], None]) -> int:
    """Submit the tasks that the study in `folder` lacks. keep: called once the study is there, to keep its file."""
    settings = _settings(definition)
    _check_budget(definition, settings)
    folder = folder.absolute()
    rounds = Rounds(folder / "hyperqueue")
    study = Study.of(folder, definition, hold=True)
    try:
        if study.store.done:
            click.echo(f"the study in {folder} is finished; nothing is submitted")
            return 0
        if note := unheard(study.store.proposals.sampler, study.definition):
            click.echo(f"note: {note}", err=True)
        wanted = _wanted(study, settings)
        script = task_script(
            settings,
            remark=f"A task of the study in {folder}. Made by taut run --on hyperqueue.",
            command=worker_words(settings, folder, wanted),
        )
        if dry_run:
            click.echo(f"# {wanted} tasks, each asking for {_amounts(settings)}, run:\n{script}", nl=False)
            return 0
        server = Server(place(settings.server_dir))
        there = _there(server, rounds)
        missing = wanted - sum(one.open for one in there.values())
        study.store.save()
        keep()
        if missing > 0:
            _say_submitted(study, folder, _submit(study, server, rounds, settings, script, missing), settings)
        if missing < wanted:
            _say_active(there, folder)
        _say_what_next(server, folder, rounds, there)
        return 0
    finally:
        study.close()


def _settings(definition: Definition) -> Settings:
    return read_settings(definition.on.get("hyperqueue", {}))


def _check_budget(definition: Definition, settings: Settings) -> None:
    budget = definition.budget
    endless = make_proposals(definition, definition.parsed_space()).endless
    if msgspec.structs.replace(budget, gpu_hours=None) == Budget() and endless:
        raise InputError("no end is in sight: add [budget] trials = 100 to the file, or give --trials")
    if settings.tasks == "trial" and budget.trials is None:
        raise InputError(
            'with tasks = "trial" the number of trials is that of the tasks: add [budget] trials = 100 to the file, '
            "or give --trials",
            ("on", "hyperqueue", "tasks"),
        )
    if budget.gpu_hours is not None:
        click.echo("note: gpu_hours counts the jobs of Slurm, and nothing of HyperQueue", err=True)


def _wanted(study: Study, settings: Settings) -> int:
    """Tasks that the study is to have now, those included that it has."""
    trials = study.definition.budget.trials
    left = math.inf if trials is None else max(trials - study.snapshot.n_finished, 1)
    if settings.tasks == "trial":
        if left > MOST:
            raise InputError(
                f'{left} tasks are more than HyperQueue should be given at once; at most {MOST} are allowed; write tasks = "worker", '
                "whose tasks take many trials each",
                ("on", "hyperqueue", "tasks"),
            )
        return int(left)
    return 1 if settings.mode == "sequential" else int(min(settings.workers or _WORKERS, left))


def _there(server: Server, rounds: Rounds) -> dict[Submitted, Progress]:
    """What was submitted to this very server, and how far it is. What a server before it had has ended with it."""
    records = [one for one in rounds.all() if one.server == server.uid]
    known = server.progress([one.job for one in records])
    return {one: known[one.job] for one in records if one.job in known}


def _submit(
    study: Study, server: Server, rounds: Rounds, settings: Settings, script: str, count: int
) -> Submitted:
    number = rounds.begin()
    place = rounds.place(number)
    (place / SCRIPT).write_text(script, encoding="utf-8")
    name = f"taut-{study.definition.name}.{number}"
    job = server.submit(settings, name, ["bash", str(place / SCRIPT)], count, place)
    record = Submitted(number, server.uid, str(server.directory), job, settings.tasks, count, t=time.time())
    rounds.write(record)
    return record


def _say_submitted(study: Study, folder: Path, record: Submitted, settings: Settings) -> None:
    trials, finished = study.definition.budget.trials, study.snapshot.n_finished
    goal = f"{trials} trials, {finished} of them finished" if trials else f"{finished} trials finished"
    click.echo(f"study {study.definition.name} in {folder}: {goal}")
    if line := warm_start_text(study.definition):
        click.echo(line)
    what = "worker" if record.kind == "worker" else "task for one trial"
    count = f"{record.tasks} {what.replace('worker', 'workers').replace('task', 'tasks') if record.tasks > 1 else what}"
    script = Rounds(folder / "hyperqueue").place(record.round) / SCRIPT
    click.echo(f"job {record.job}: {count}, each asking for {_amounts(settings)}  ({script})")


def _amounts(settings: Settings) -> str:
    amounts = ", ".join(f"{name} = {value:g}" for name, value in settings.amounts.items())
    return f"{amounts}, min_time = {settings.min_time:g} s" if settings.min_time else amounts


def _say_active(there: dict[Submitted, Progress], folder: Path) -> None:
    jobs = {one.job: many.open for one, many in there.items() if many.open}
    told = ", ".join(f"{many} of job {job}" for job, many in jobs.items())
    click.echo(
        f"the study in {folder} has tasks already, which wait or run ({told}); what was changed holds for them, too"
    )


def _say_what_next(server: Server, folder: Path, rounds: Rounds, there: dict[Submitted, Progress]) -> None:
    open_ = [one.job for one, many in there.items() if many.open]
    new = [one.job for one in rounds.all() if one.server == server.uid and one not in there]
    click.echo(f"nothing here needs to stay; look at it with: {shlex.join(['taut', 'status', str(folder)])}")
    jobs = ",".join(map(str, sorted({*open_, *new})))
    click.echo(f"to stop it: hq --server-dir {shlex.quote(str(server.directory))} job cancel {jobs}")


# ---------------------------------------------------------------------- status


def lines(study: Study, folder: Path) -> list[Said]:
    """What there is to say of the tasks of the study in `folder`; nothing if it never had any."""
    rounds = Rounds(folder / "hyperqueue")
    if not (records := rounds.all()):
        return []
    last = records[-1]
    try:
        server = Server(Path(last.directory))
        there = _there(server, rounds)
        said = [line for one, many in there.items() for line in _job(server, rounds, one, many)]
    except TautError as error:  # what else is known of the study is worth showing
        return _same(f"tasks: {last.tasks} were submitted as job {last.job}; {error}")
    if not study.store.done and not any(many.open for many in there.values()):
        gone = (
            "" if last in there else f"the server that had job {last.job} has ended, and its tasks with it; "
        )
        again = shlex.join(["taut", "run", str(folder), "--on", "hyperqueue"])
        logs = rounds.place(last.round)
        said.append(
            f"{gone}no task is left, and the study is not finished: see why in {logs}/*.log, then go on with {again}"
        )
    return _same(*said)


def _job(server: Server, rounds: Rounds, one: Submitted, many: Progress) -> list[str]:
    kind = "" if one.kind == "worker" else " of one trial each"
    counts = {"finished": many.finished, "failed": many.failed, "waiting or running": many.open}
    told = ", ".join(f"{count} {what}" for what, count in counts.items() if count)
    said = [f"tasks: job {one.job} of {many.tasks}{kind}: {told or 'cancelled'}"]
    if many.failed and (failure := server.failure(one.job)):
        task, why = failure
        said.append(f"  task {task} failed: {why}  ({rounds.place(one.round)}/{task}.*.log)")
    if many.open == many.tasks and not rounds.begun(one.round):
        said.append(
            "  none has begun yet: `hq worker list` shows whether there are workers, `hq task list` what the tasks ask for"
        )
    return said


def _same(*texts: str) -> list[Said]:
    return [(text, text) for text in texts]
