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


def history(home: Home, jobs: int = 400, cluster: str = "") -> Path:
    """A file of sacct: every ten minutes a job of one GPU for two hours, which waits 20 to 60 minutes."""
    now, lines = 1_700_000_000, ["JobID|Partition|State|Submit|Start|End|Timelimit|ReqTRES|Cluster"]
    for i in range(jobs):
        submit = now - 600 * (jobs - i)
        start = submit + 1200 + 60 * (7 * i % 41)
        times = f"{submit}|{start}|{start + 3600}"
        lines.append(f"{i}|gpu|COMPLETED|{times}|02:00:00|cpu=4,mem=8G,node=1,gres/gpu=1|{cluster}")
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
    assert said.startswith("17 trials: ") and "; from 3 trials outside of jobs)" in said
    assert home.taut("plan", "runs/demo", "--trials", "20").out == said
    assert home.listing() == before


def test_a_history_is_learned_kept_and_used_again(home: Home, tmp_path: Path) -> None:
    path = history(home, cluster="Lab")
    said = home.taut("plan", "study.toml", *WELL, f"--from-sacct={path}")
    assert "the queue: good: 400 jobs, 3 days (from jobs.txt, " in said.out
    assert "the queue of lab is kept; later plans for it take --cluster lab" in said.err
    (kept,) = (tmp_path / "cache" / "taut").iterdir()
    assert kept.name == "queue-lab.json" and stat.S_IMODE(kept.stat().st_mode) == 0o600
    found = json.loads(home.taut("plan", "study.toml", *WELL, "--json", "--cluster", "LAB").out)
    assert found["queue"]["strength"].startswith("good: 400 jobs") and 1000 < found["queue"]["wait"][1] < 8000
    assert "none: assumed" in home.taut("plan", "study.toml", *WELL).out, "it is another cluster's"
    kept.write_text("{}")
    assert "none: assumed" in home.taut("plan", "study.toml", *WELL, "--cluster", "lab").out


def test_a_history_of_no_cluster_is_used_once_or_kept_under_a_name(home: Home, tmp_path: Path) -> None:
    path, cache = history(home), tmp_path / "cache" / "taut"
    said = home.taut("plan", "study.toml", *WELL, f"--from-sacct={path}")
    assert "the queue: good: 400 jobs" in said.out and not cache.exists()
    assert (
        "jobs.txt does not say of which cluster it is, so it is used this once; --cluster NAME keeps it"
        in said.err
    )
    home.taut("plan", "study.toml", *WELL, f"--from-sacct={path}", "--cluster", "far")
    assert [each.name for each in cache.iterdir()] == ["queue-far.json"]
    wrong = home.taut("plan", "study.toml", *WELL, "--cluster", "fair", code=2).err
    assert "nothing was learned of the queue of 'fair'; did you mean 'far'?" in wrong
    history(home, cluster="lab")
    wrong = home.taut("plan", "study.toml", *WELL, f"--from-sacct={path}", "--cluster", "far", code=2).err
    assert "'far' is not the cluster whose jobs the file shows, which is lab" in wrong
    path.write_text(path.read_text().replace("|lab", "|two", 1))
    assert (
        "the jobs are of several clusters (lab, two)"
        in home.taut("plan", "study.toml", *WELL, f"--from-sacct={path}", code=2).err
    )
    assert [each.name for each in cache.iterdir()] == ["queue-far.json"]


def test_what_is_no_name_of_a_cluster_is_neither_shown_nor_kept(home: Home, tmp_path: Path) -> None:
    path = history(home, jobs=20, cluster="\x1b[31mred/../lab")
    wrong = home.taut("plan", "study.toml", *WELL, f"--from-sacct={path}", code=2).err
    assert r"'\x1b[31mred/../lab' is no name of a cluster; letters, digits, and . _ - are allowed" in wrong
    history(home, jobs=20)
    wrong = home.taut("plan", "study.toml", *WELL, f"--from-sacct={path}", "--cluster", "my lab", code=2).err
    assert "--cluster: 'my lab' is no name of a cluster" in wrong
    assert not (tmp_path / "cache" / "taut").exists()


def test_any_number_of_trials_that_is_said_is_meant(home: Home) -> None:
    home.write(
        "study.toml",
        (home.path / "study.toml").read_text() + '\n[on.slurm]\nmode = "sequential"\ntime = "12h"\n',
    )
    found = json.loads(home.taut("plan", "study.toml", *WELL, "--trials", "1000000", "--json").out)
    assert found["trials"] == 1_000_000 and found["plan"]["cost"][1] > 90_000


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
    home.edit(("trials = 60", 'until = "loss <= 0.1"'))
    said = home.taut("plan", "study.toml", *WELL, code=2).err
    assert "a plan needs to know how many trials are wanted" in said and "study.toml" in said
    assert home.taut("plan", "study.toml", *WELL, "--trials", "9").out.startswith("9 trials: ")


def test_hours_instead_of_a_number_of_trials(home: Home) -> None:
    home.edit(("trials = 60", "hours = 2"))
    said = home.taut("plan", "study.toml", *WELL).out
    assert re.match(r"about \d+ trials \(as many as 2 h are enough for\): \d jobs x ", said), said


@pytest.mark.parametrize(
    ("budget", "words"),
    [
        ("hours = 200", ()),
        ("trials = 60", ()),
        ("hours = 2", ("--trials", "60")),
        ('until = "loss <= -1"', ()),
    ],
)
def test_a_grid_has_no_more_trials_than_cells(home: Home, budget: str, words: tuple[str, ...]) -> None:
    home.edit(("x = { uniform = [0, 1], start = 0.5 }", "x = { ordinal = [0.1, 0.2, 0.5] }"))
    home.edit(("trials = 60", budget), ('method = "random"', 'method = "grid"'))
    said = home.taut("plan", "study.toml", *WELL, *words).out
    assert said.startswith("6 trials: "), said


def test_a_grid_is_planned_for_as_many_cells_as_its_hours_are_enough_for(home: Home) -> None:
    home.edit(("x = { uniform = [0, 1], start = 0.5 }", "x = { uniform = [0, 1] }"))
    home.edit(("trials = 60", "hours = 2"), ('method = "random"', 'method = "grid"\nresolution = 2000'))
    found = home.taut("plan", "study.toml", *WELL).out
    assert re.match(r"about \d{2,3} trials \(as many as 2 h are enough for\): \d+ jobs x ", found), found


def test_a_grid_without_a_resolution_is_refused_with_its_place(home: Home) -> None:
    home.edit(('method = "random"', 'method = "grid"'))
    assert "study.toml:" in home.taut("plan", "study.toml", *WELL, code=2).err


def test_a_worker_of_a_pilot_begins_so_many_trials_and_ends(home: Home) -> None:
    home.taut("run", "study.toml", "--for", "0.001s")
    before = len(json.loads(home.taut("trials", "study.toml", "--json").out))
    said = home.taut("worker", "runs/demo", "--begin", "2").out
    assert "it has begun the trials that it was to begin" in said
    assert len(json.loads(home.taut("trials", "study.toml", "--json").out)) == before + 2
    assert "--begin: 0 is too small" in home.taut("worker", "runs/demo", "--begin", "0", code=2).err


def test_nothing_is_left_to_plan(finished: Home) -> None:
    assert "nothing is left to plan" in finished.taut("plan", "study.toml", code=2).err


def test_a_check_of_what_was_never_planned(finished: Home) -> None:
    assert finished.taut("plan", "study.toml", "--check").out.startswith("nothing was planned for this study")
    assert json.loads(finished.taut("plan", "runs/demo", "--check", "--json").out) == []
