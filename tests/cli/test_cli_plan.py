"""`taut plan`: what it says, what it takes, what it leaves behind."""

from __future__ import annotations

import json
import os
import re
import stat
from pathlib import Path

import pytest
from cli_home import Home

WELL = ("--trial-time", "6m", "--spread", "0.4", "--overhead", "8m")


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Home:
    """A study on a machine without Slurm, and a cache directory of its own."""
    home = Home(tmp_path / "project")
    home.edit(("trials = 4", "trials = 60"))
    (tmp_path / "bin").mkdir()
    python = tmp_path / "bin" / "python"
    python.symlink_to(os.path.realpath("/proc/self/exe"))
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return home


def history(home: Home, jobs: int = 400) -> Path:
    """A file of sacct: every ten minutes a job of one GPU for two hours, which waits 20 to 60 minutes."""
    now, lines = 1_700_000_000, ["JobID|Partition|State|Submit|Start|End|Timelimit|ReqTRES"]
    for i in range(jobs):
        submit = now - 600 * (jobs - i)
        start = submit + 1200 + 60 * (7 * i % 41)
        times = f"{submit}|{start}|{start + 3600}"
        lines.append(f"{i}|gpu|COMPLETED|{times}|02:00:00|cpu=4,mem=8G,node=1,gres/gpu=1")
    return home.write("jobs.txt", "\n".join(lines) + "\n")


def test_a_study_that_never_ran_is_planned_from_its_file(home: Home) -> None:
    before = home.listing()
    said = home.taut("plan", "study.toml", *WELL).out
    first = said.splitlines()[0]
    assert re.fullmatch(
        r"60 trials: \d+ jobs? x [\w ]+ \(about \d+ trials? each\), [\d.]+ CPU-h, done in [\w ]+ \(80 %: [\w ]+ to [\w ]+\)",
        first,
    ), first
    assert "a trial takes 6 min (80 %: 3 min 24 s to 9 min 7 s; as given)" in said
    assert "the queue: none: assumed (learn it: taut plan STUDY --from-sacct)" in said
    assert "one trial per job" in said and "everything in one job" in said
    assert re.search(r'^to have it so: time = "\w+", workers = \d+ in \[on.slurm\]', said, re.MULTILINE)
    assert home.listing() == before, "looking leaves no trace"


def test_the_same_in_numbers(home: Home) -> None:
    found = json.loads(home.taut("plan", "study.toml", *WELL, "--trials", "30", "--json").out)
    assert (found["trials"], found["unit"], found["goal"]) == (30, "CPU", "trade")
    assert found["trial"] == {"mean": 360.0, "spread": 0.4, "values": 0, "source": "as given"}
    plan = found["plan"]
    assert plan["finish"] == sorted(plan["finish"]) and plan["sure"] == 1.0
    assert plan["walltime"] % 60 == 0 and plan["workers"] >= 1
    cheap = json.loads(
        home.taut("plan", "study.toml", *WELL, "--trials", "30", "--json", "--goal", "cost").out
    )
    assert cheap["plan"]["cost"][1] <= plan["cost"][1] and cheap["plan"]["finish"][1] >= plan["finish"][1]


def test_it_takes_times_from_trials_that_ran(home: Home) -> None:
    home.taut("run", "study.toml", "--trials", "3")
    before = home.listing()
    said = home.taut("plan", "study.toml", "--trials", "20").out
    assert said.startswith("17 trials: ") and "; from 3 trials)" in said
    assert home.taut("plan", "runs/demo", "--trials", "20").out == said
    assert home.listing() == before


def test_a_history_is_learned_kept_and_used_again(home: Home, tmp_path: Path) -> None:
    path = history(home)
    said = home.taut("plan", "study.toml", *WELL, f"--from-sacct={path}").out
    assert "the queue: good: 400 jobs, 3 days (from jobs.txt, " in said
    (kept,) = (tmp_path / "cache" / "taut").iterdir()
    assert kept.name == "queue-elsewhere.json" and stat.S_IMODE(kept.stat().st_mode) == 0o600
    again = home.taut("plan", "study.toml", *WELL).out
    assert "the queue: good: 400 jobs, 3 days (from jobs.txt, " in again
    found = json.loads(home.taut("plan", "study.toml", *WELL, "--json").out)
    assert 1000 < found["queue"]["wait"][1] < 8000
    kept.write_text("{}")
    assert "none: assumed" in home.taut("plan", "study.toml", *WELL).out


def test_the_study_may_stand_behind_from_sacct(home: Home) -> None:
    said = home.taut("plan", *WELL, "--from-sacct", "study.toml", code=None)
    assert said.code == 1 and "sacct" in said.err, "it is the study, and there is no accounting here"


def test_pictures(home: Home) -> None:
    pytest.importorskip("resvg_py")
    home.taut("plan", "study.toml", *WELL, "--svg", "plan.svg", "--png", "plan.png")
    picture = (home.path / "plan.svg").read_text()
    assert "demo: a typical case of the plan" in picture and "finish, 80 %" in picture
    assert (home.path / "plan.png").read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ((), "nothing is known of how long a trial takes; say it (--trial-time 6m)"),
        (("--trial-time", "6"), "--trial-time: '6' has no unit"),
        (("--trial-time", "6m", "--goal", "finnish"), "--goal: 'finnish' is no goal; did you mean 'finish'?"),
        (("--spread", "0.4"), "--spread: it belongs to a time; give --trial-time, too"),
        (("--trial-time", "6m", "--spread", "-1"), "--spread: -1 is no spread; 0 to 10 is allowed"),
        (("--trial-time", "6m", "--trials", "0"), "--trials"),
        (("--trial-time", "9h", "--longest", "2h"), "time: a job for one trial needs"),
        (("--trial-time", "6m", "--from-sacct=nowhere"), "nowhere cannot be read"),
        (("--trial-time", "6m", "--from-sacct=train.py"), "ought to name the columns of sacct"),
    ],
)
def test_wrong_input_is_explained_and_leaves_nothing(
    home: Home, tmp_path: Path, words: tuple[str, ...], said: str
) -> None:
    before = home.listing()
    assert said in home.taut("plan", "study.toml", *words, "--svg", "plan.svg", code=2).err
    assert home.listing() == before and not (tmp_path / "cache").exists()


def test_without_a_number_of_trials(home: Home) -> None:
    home.edit(("trials = 60", "hours = 3"))
    said = home.taut("plan", "study.toml", *WELL, code=2).err
    assert "a plan needs to know how many trials are wanted" in said and "study.toml" in said
    assert home.taut("plan", "study.toml", *WELL, "--trials", "9").out.startswith("9 trials: ")


def test_nothing_is_left_to_plan(finished: Home) -> None:
    assert "nothing is left to plan" in finished.taut("plan", "study.toml", code=2).err


def test_a_check_of_what_was_never_planned(finished: Home) -> None:
    assert finished.taut("plan", "study.toml", "--check").out.startswith("nothing was planned for this study")
    assert json.loads(finished.taut("plan", "runs/demo", "--check", "--json").out) == []
