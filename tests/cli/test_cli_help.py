"""`--help` of every command."""

from __future__ import annotations

import re

import pytest
from cli_home import Home

import taut

COMMANDS = [
    "init",
    "catalogue",
    "run",
    "plan",
    "worker",
    "sample",
    "status",
    "best",
    "trials",
    "report",
    "verify",
    "export",
    "import",
    "dashboard",
    "doctor",
]

HELP = """\
Usage: taut [OPTIONS] COMMAND [ARGS]...

  taut tunes hyperparameters, on a laptop and on a cluster's queue.

  Begin with:  taut init, then  taut run study.toml

Options:
  --version   Show the version and exit.
  -h, --help  Show this message and exit.

Commands:
  init       Write a commented study.toml to start from.
  catalogue  What could be tuned: ranges, names in libraries, sources.
  run        Run a study to its end, or go on with one.
  plan       How large its jobs should be, and what to expect of them.
  worker     One more worker for a study; start as many as you like.
  sample     Print the I-th independent sample: for plain job arrays.
  status     What a study has done so far.
  best       The best trial, or the front of several objectives.
  trials     All trials, one line for each.
  report     Write a study as one HTML page, with figures and costs.
  verify     Derive every suggestion again, and check every record.
  export     Write the trials as a table, or for Optuna or trackers.
  import     Read a study of Optuna.
  dashboard  Show the live study in optuna-dashboard.
  doctor     What this machine and file system can do for a study.
"""


def test_help(finished: Home) -> None:
    assert finished.taut("--help").out == HELP
    assert finished.taut("-h").out == HELP
    assert finished.taut(code=2).err == HELP


def test_version(finished: Home) -> None:
    assert finished.taut("--version").out == f"taut, version {taut.__version__}\n"


@pytest.mark.parametrize("command", COMMANDS)
def test_help_of_a_command(finished: Home, command: str) -> None:
    said = finished.taut(command, "--help")
    assert said.err == ""
    assert said.out.startswith(f"Usage: taut {command} [OPTIONS]")
    assert max(map(len, said.out.splitlines())) <= 110
    example = said.out.partition("Example")[2]
    assert re.search(rf"taut {command}( |$)", example), "it has an example"
    above = said.out.partition("Example")[0]
    for option in re.findall(r"--\w+", example):
        assert f"{option} " in above or f"{option}\n" in above, "its options exist"
