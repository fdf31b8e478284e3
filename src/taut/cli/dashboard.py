"""`taut dashboard`: optuna-dashboard over the live study."""

from __future__ import annotations

import socket

import click

from taut.cli.common import locate, needs_optuna, open_study

__all__ = ["dashboard"]


@click.command(epilog="Example:  taut dashboard runs/lora --port 8080")
@click.argument("study")
@click.option(
    "--port",
    type=click.IntRange(0, 65535),
    default=8080,
    metavar="N",
    help="0: any that is free (default: 8080).",
)
def dashboard(study: str, port: int) -> int:
    """Show the study in a browser while it runs, with optuna-dashboard; Ctrl-C ends it.

    It can be read and not changed. It is served to this machine alone, and to those who have the address that is
    printed: keep it to yourself.
    """
    open_study(study)
    with needs_optuna("dashboard"):
        from taut.integrations.optuna.dashboard import Dashboard

        served = Dashboard(locate(study), port)
    here = socket.gethostname()
    click.echo(f"{study} is shown at {served.url}")
    click.echo(
        f"from another machine: ssh -L {served.port}:127.0.0.1:{served.port} {here}, then the same address there"
    )
    click.echo("end it with Ctrl-C")
    served.run()
    return 0
