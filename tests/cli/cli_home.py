"""A user's directory and the real command line in it; small training scripts; what to mask."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

import taut
from taut.study import Study

SOURCE = Path(taut.__file__).resolve().parents[1]

# An ordinary script: argparse flags in, one line of JSON out. A file `slow` beside it makes it wait.
TRAIN = """\
import argparse, json, os, pathlib, time

parser = argparse.ArgumentParser()
parser.add_argument("--x", type=float, required=True)
parser.add_argument("--kind", default="a")
flags = parser.parse_args()
here = pathlib.Path(__file__).parent
with open(here / "calls", "a") as calls:
    calls.write(os.environ["TAUT_TRIAL"] + " " + str(os.getpid()) + "\\n")
if (here / "slow").exists():
    time.sleep(float((here / "slow").read_text()))
print("x is", flags.x)
with open(os.environ["TAUT_REPORT"], "a") as report:
    report.write(json.dumps({"loss": (flags.x - 0.3) ** 2, "size": 10 * flags.x}) + "\\n")
"""

STUDY = """\
name = "demo"
command = "python train.py {args}"
minimize = "loss"

[space]
x = { uniform = [0, 1], start = 0.5 }
kind = { choice = ["a", "b"] }

[budget]
trials = 4

[sampler]
method = "random"
"""

# The first samples of STUDY: seed 0 gives these on every machine.
X = [0.5, 0.04097352393619469, 0.8132702392002724, 0.6066357757671799, 0.5436249914654229]
KIND = ["a", "a", "b", "b", "b"]


class Said(NamedTuple):
    """What a command printed, and its exit code."""

    code: int
    out: str
    err: str


class Home:
    """A directory with study.toml and train.py, and `taut` as a user has it."""

    def __init__(self, path: Path) -> None:
        self.path = path
        path.mkdir(parents=True, exist_ok=True)
        self.write("train.py", TRAIN)
        self.write("study.toml", STUDY)

    def copy(self, path: Path) -> Home:
        """The same directory elsewhere, with all times kept."""
        shutil.copytree(self.path, path, symlinks=True)
        other = Home.__new__(Home)
        other.path = path
        return other

    def write(self, name: str, text: str) -> Path:
        target = self.path / name
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(text, encoding="utf-8")
        return target

    def edit(self, *changes: tuple[str, str], name: str = "study.toml") -> None:
        """Replace texts that stand in the file exactly once."""
        text = (self.path / name).read_text(encoding="utf-8")
        for old, new in changes:
            assert text.count(old) == 1, f"{old!r} stands {text.count(old)} times in {name}"
            text = text.replace(old, new)
        self.write(name, text)

    def environment(self) -> dict[str, str]:
        kept = {k: v for k, v in os.environ.items() if not k.startswith(("TAUT_", "SLURM_", "PYTHON"))}
        return {
            **kept,
            "PYTHONPATH": str(SOURCE),
            "PATH": f"{os.path.dirname(sys.executable)}:{os.environ['PATH']}",
            "COLUMNS": "80",
            "TERM": "xterm",
        }

    def start(self, *args: str, **options: Any) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [sys.executable, "-m", "taut", *args],
            cwd=options.pop("cwd", self.path),
            env=self.environment(),
            stdin=subprocess.DEVNULL,
            stdout=options.pop("stdout", subprocess.PIPE),
            stderr=options.pop("stderr", subprocess.PIPE),
            text=True,
            **options,
        )

    def taut(self, *args: str, code: int | None = 0, **options: Any) -> Said:
        """Run a command to its end. code: the exit code that it must have."""
        process = self.start(*args, **options)
        try:
            out, err = process.communicate(timeout=60)
        except subprocess.TimeoutExpired:
            process.kill()
            raise
        said = Said(process.returncode, out or "", err or "")
        assert "Traceback" not in said.err or said.code == 1, said.err
        assert code is None or said.code == code, f"taut {' '.join(args)}: {said}"
        return said

    def trials(self, study: str = "runs/demo") -> list[dict[str, Any]]:
        """What `taut trials --json` prints, without the wait for another process."""
        with Study.of(self.path / study) as opened:
            return [msgspec.to_builtins(record) for record in opened.trials]

    def calls(self) -> list[int]:
        """The trials that train.py was started for, in that order."""
        return [int(line.split()[0]) for line in self._calls()]

    def pids(self) -> list[int]:
        """The processes that train.py ran in."""
        return [int(line.split()[1]) for line in self._calls()]

    def _calls(self) -> list[str]:
        path = self.path / "calls"
        return path.read_text().splitlines() if path.exists() else []

    def listing(self) -> list[tuple[str, int, int, str]]:
        """Everything here: names, sizes, times of change and what links mean."""
        found = []
        for path in sorted(self.path.rglob("*")):
            if "__pycache__" in path.parts:
                continue
            status = path.lstat()
            link = os.readlink(path) if path.is_symlink() else ""
            found.append((str(path.relative_to(self.path)), status.st_size, status.st_mtime_ns, link))
        return found

    def masked(self, text: str) -> str:
        """`text` without durations, times and this directory's path."""
        text = text.replace(str(self.path), "HOME")
        text = re.sub(r"\b\d+(\.\d+)? s\b", "# s", text)
        return re.sub(r" +\n", "\n", text)
