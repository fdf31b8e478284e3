"""The command line: `taut`. Each command is a small module, loaded when it is used."""

from __future__ import annotations

import importlib
import keyword
import os
import signal
import sys
from types import FrameType
from typing import Any

import click

from taut import __version__
from taut.errors import TautError

__all__ = ["main"]

# name -> (module, one line for `taut --help`)
_COMMANDS = {
    "init": ("create", "Write a commented study.toml to start from."),
    "catalogue": ("catalogue", "What could be tuned: ranges, names in libraries, sources."),
    "run": ("run", "Run a study to its end, or go on with one."),
    "plan": ("plan", "How large its jobs should be, and what to expect of them."),
    "worker": ("work", "One more worker for a study; start as many as you like."),
    "sample": ("sample", "Print the I-th independent sample: for plain job arrays."),
    "status": ("show", "What a study has done so far."),
    "best": ("show", "The best trial, or the front of several objectives."),
    "trials": ("show", "All trials, one line for each."),
    "report": ("report", "Write a study as one HTML page, with figures and costs."),
    "verify": ("check", "Derive every suggestion again, and check every record."),
    "export": ("check", "Write the trials as a table, or for Optuna or trackers."),
    "import": ("importing", "Read a study of Optuna."),
    "dashboard": ("dashboard", "Show the live study in optuna-dashboard."),
    "doctor": ("check", "What this machine and file system can do for a study."),
}


class _Lazy(click.Group):
    """Knows its commands' names and help lines; imports a command's module only to run it."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(_COMMANDS)

    def get_command(self, ctx: click.Context, name: str) -> click.Command | None:
        if name not in _COMMANDS:
            return None
        module = importlib.import_module(f"taut.cli.{_COMMANDS[name][0]}")
        command: click.Command = getattr(module, name + "_" * keyword.iskeyword(name))
        return command

    def resolve_command(self, ctx: click.Context, args: list[str]) -> Any:
        try:
            return super().resolve_command(ctx, args)
        except click.UsageError:
            from taut.errors import nearest

            raise click.UsageError(
                f"no command {args[0]!r}{nearest(args[0], _COMMANDS)}; there are: {', '.join(_COMMANDS)}", ctx
            ) from None

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, text) for name, (_, text) in _COMMANDS.items()])


@click.group(cls=_Lazy, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(__version__, prog_name="taut")
def cli() -> None:
    """taut tunes hyperparameters, on a laptop and on a cluster's queue.

    Begin with:  taut init, then  taut run study.toml
    """


def main(argv: list[str] | None = None) -> None:
    """Run the command line; errors become one clear message and an exit code."""
    _open_standard_streams()
    for number in (signal.SIGTERM, signal.SIGHUP):
        if signal.getsignal(number) is not signal.SIG_IGN:  # nohup has it ignored
            signal.signal(number, _interrupt)
    try:
        code = cli.main(argv, prog_name="taut", standalone_mode=False)
        sys.stdout.flush()
    except click.exceptions.Exit as exit_:
        code = exit_.exit_code
    except click.ClickException as error:
        error.show()
        code = error.exit_code
    except TautError as error:
        click.echo(f"taut: {error}", err=True)
        code = error.exit_code
    except (click.Abort, KeyboardInterrupt):
        click.echo("interrupted", err=True)
        code = 130
    except SystemExit:  # click found that nobody reads on, as in `taut trials X | head -1`
        code = 0
    except OSError as error:
        name = f"{error.filename}: " if error.filename else ""
        click.echo(f"taut: {name}{error.strerror or error}", err=True)
        code = 1
    _flush()
    sys.exit(code if isinstance(code, int) else 0)


def _open_standard_streams() -> None:
    """Fill closed descriptors 0 to 2, which a log would take else, and be written to by whoever prints."""
    while (descriptor := os.open(os.devnull, os.O_RDWR)) <= 2:
        pass
    os.close(descriptor)
    sys.stdout = sys.stdout or os.fdopen(1, "w", closefd=False)
    sys.stderr = sys.stderr or os.fdopen(2, "w", closefd=False)


def _flush() -> None:
    """Write out what is left; where nobody takes it, keep the interpreter from complaining at its end."""
    for stream, descriptor in ((sys.stdout, 1), (sys.stderr, 2)):
        try:
            stream.flush()
        except OSError:
            os.dup2(os.open(os.devnull, os.O_WRONLY), descriptor)


def _interrupt(number: int, frame: FrameType | None) -> None:
    """A job's end (SIGTERM, SIGHUP) is handled like Ctrl-C: stop, give back, say how to go on."""
    raise KeyboardInterrupt
