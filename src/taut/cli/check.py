"""`taut verify`, `taut export` and `taut doctor`."""

from __future__ import annotations

from pathlib import Path

import click

from taut.cli.common import gpu_hours, locate, needs_optuna, open_study
from taut.errors import InputError
from taut.study import Study

__all__ = ["doctor", "export", "verify"]


@click.command(epilog="Example:  taut verify runs/lora")
@click.argument("study")
def verify(study: str) -> int:
    """Derive every suggestion of the study again from what its decision had seen; check every record.

    Exit code 0: all reproduced, no record damaged. 1: something differs.
    """
    from taut.opening import make_proposals
    from taut.verify import verify as replay

    open_study(study)
    result = replay(locate(study), make_proposals)
    for problem in result.damaged:
        click.echo(f"damaged  {problem}")
    for problem in result.torn:
        click.echo(f"torn     {problem} (the trace of a crash; nothing that was acknowledged is missing)")
    for text in result.doubled:
        click.echo(f"doubled  {text}: the file system did not keep claims apart (see taut doctor)")
    if not result.differences:
        also = (
            f" and {result.judgements} judgement{'s' * (result.judgements > 1)} of the pruner"
            if result.judgements
            else ""
        )
        imported = f"; {result.imported} trials were imported, and not chosen here" if result.imported else ""
        click.echo(f"all {result.suggestions} suggestions{also} reproduced{imported}")
    else:
        click.echo(
            f"{len(result.differences)} of {result.suggestions + result.judgements} decisions differ, the first:"
        )
        click.echo(str(result.differences[0]))
    return 0 if result.good else 1


@click.command(epilog="Example:  taut export runs/lora --to parquet trials.parquet")
@click.argument("study")
@click.argument("path", required=False, type=click.Path())
@click.option(
    "--to", "form", required=True, help="csv, parquet, sqlite, optuna, mlflow, wandb or tensorboard."
)
@click.option("--force", is_flag=True, help="Replace a file that is there.")
@click.option("--follow", is_flag=True, help="Go on as trials come, until the study is done (trackers only).")
def export(study: str, path: str | None, form: str, force: bool, follow: bool) -> None:
    """Write the trials of STUDY to PATH (default: NAME.csv, .parquet or .sqlite in this directory).

    For Optuna, PATH ends in .db (SQLite, the default) or .journal (a journal file); what it cannot hold is said.

    The trackers MLflow, W&B (offline) and TensorBoard get a run for each trial: PATH is a database or an address, or a directory.
    Called again, they get what is new.
    """
    from taut.export import export as write
    from taut.integrations.tracking import TRACKERS

    opened = open_study(study)
    if form in TRACKERS:
        from taut.cli.tracking import track

        track(opened, form, path, follow)
        return
    if follow:
        raise InputError(f"{form} is written once; only {', '.join(TRACKERS)} can follow", ("--follow",))
    if form == "optuna":
        _to_optuna(opened, locate(study), path or f"{opened.definition.name}.db", force)
        return
    target = Path(path or f"{opened.definition.name}.{form}")
    snapshot = opened.snapshot
    reports = {metric: snapshot.curves.reports(metric) for metric in snapshot.curves.metrics}
    if target.exists() and not force:
        raise InputError(f"{target} exists; give another name, or replace it with --force")
    try:
        written = write(list(opened.trials), form, target, overwrite=force, reports=reports)
    except InputError as error:
        raise InputError(error.message, ("--to",) if error.at == ("to",) else ()) from None
    click.echo(f"{len(opened.trials)} trials written to {written}")


def _to_optuna(study: Study, folder: Path, path: str, force: bool) -> None:
    with needs_optuna():
        from taut.integrations.optuna.writing import export_study

        seconds = {n: 3600.0 * hours for n, hours in gpu_hours(study, folder).items()}
        written, said = export_study(study.snapshot, path, overwrite=force, gpu_seconds=seconds)
    click.echo(f"{len(study.trials)} trials written to {written}")
    for text in said:
        click.echo(f"note: {text}")


@click.command(epilog="Example:  taut doctor runs/lora --nodes 2")
@click.argument("directory", default=".")
@click.option("--nodes", type=click.IntRange(1, 2), help="Look from 1 or 2 nodes, too, by tiny Slurm jobs.")
@click.option("-p", "--partition", help="Partition of these jobs.")
@click.option("--account", help="Account of these jobs.")
def doctor(directory: str, nodes: int | None, partition: str | None, account: str | None) -> int:
    """What this machine, its cluster and the file system under DIRECTORY can and cannot do for a study.

    Exit code 1 if something that taut needs does not work.
    """
    from taut.doctor import examine, examine_nodes
    from taut.slurm.calls import required

    if Path(directory).is_file():
        raise InputError(f"{directory} is a file; give a directory")
    if nodes is None and (partition or account):
        option = "--partition" if partition else "--account"
        raise InputError("is for the jobs of --nodes; give --nodes 1 or --nodes 2, too", (option,))
    if nodes is not None:
        required()
    findings = examine(Path(directory))
    if nodes is not None:
        findings += examine_nodes(Path(directory), nodes, partition, account)
    width = max(len(finding.name) for finding in findings)
    for finding in findings:
        click.echo(f"{finding.state:4}  {finding.name.ljust(width)}  {finding.text}")
        if finding.advice:
            click.echo(f"      {' ' * width}  -> {finding.advice}")
    return 1 if any(finding.state == "fail" for finding in findings) else 0
