"""What `taut plan` draws: a typical case, what came beside what was planned, and rehearsals."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
from cli_home import Home

from taut.events import Planned
from taut.study import Study

WELL = ("--trial-time", "6m", "--spread", "0.4", "--overhead", "8m")


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Home:
    """A study on a machine without Slurm, and a cache directory of its own."""
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "python").symlink_to(os.path.realpath("/proc/self/exe"))
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("COLUMNS", "90")
    return Home(tmp_path / "project")


def test_a_typical_case_on_the_terminal(home: Home) -> None:
    said = home.taut("plan", "study.toml", *WELL, "--trials", "20").out.splitlines()
    ruler = next(i for i, line in enumerate(said) if "╎" in line and "━" in line)
    lanes = [line for line in said[:ruler] if "█" in line]
    assert lanes and all(line.startswith("job ") and "▒" in line for line in lanes)
    assert 60 < max(len(line) for line in said[ruler - len(lanes) : ruler + 1]) <= 90
    assert "finish, 80 %" in said[ruler + 2]


def test_what_came_stands_below_what_was_planned(home: Home) -> None:
    home.taut("run", "study.toml")
    with Study(home.path / "runs" / "demo") as study:
        begin = float(study.snapshot.started.min())
        study.store.write(
            [
                Planned(
                    trials=3, jobs=2, minutes=1, slots=1, units=1, unit="CPU", finish=(0.1, 2.0, 60.0), cost=(0.1, 0.2, 0.3), strength="weak: 9 jobs",
                    t=begin - 0.5, trial=(0.5, 0.1), overhead=(0.3, 0.1), waits=(0.2, 0.4),
                )
            ],
            durable=True,
        )  # fmt: skip
    said = home.taut("plan", "study.toml", "--check", "--svg", "both.svg").out
    assert "came: done in " in said and "\nplanned job 1 " in said and " came " in said, said
    picture = (home.path / "both.svg").read_text()
    assert "demo: planned, and what came" in picture and "planned job 1" in picture
    assert len(json.loads(home.taut("plan", "study.toml", "--check", "--json").out)) == 1


def test_without_a_plan_there_is_nothing_to_draw(home: Home) -> None:
    home.taut("run", "study.toml")
    said = home.taut("plan", "study.toml", "--check", "--svg", "both.svg", code=2).err
    assert "--svg: no plan of this study was written down" in said and not (home.path / "both.svg").exists()


def test_a_rehearsal_shows_three_modes_and_wants_some_trials(home: Home) -> None:
    home.taut("run", "study.toml")
    said = home.taut("plan", "study.toml", "--rehearse", *WELL, code=2).err
    assert "4 complete trials are too few to rehearse with" in said
    home.taut("run", "study.toml", "--trials", "12")
    before = home.listing()
    words = ("plan", "runs/demo", "--rehearse", "--repeats", "2", *WELL)
    found = json.loads(home.taut(*words, "--trials", "12", "--json").out)
    assert [mode["mode"] for mode in found["modes"]] == ["sequential", "batch", "async"]
    slow, _, quick = found["modes"]
    assert quick["finish"][1] < slow["finish"][1] and slow["regret"][-1] is not None
    assert home.listing() == before
    assert (
        "--repeats: it belongs to a rehearsal" in home.taut("plan", "runs/demo", "--repeats", "3", code=2).err
    )
