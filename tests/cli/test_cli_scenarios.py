"""What users do with studies: several terminals, changed files, moved directories, every way of reporting."""

from __future__ import annotations

import json
import shutil
import subprocess
import time
from pathlib import Path
from typing import Any

import pytest
from cli_home import KIND, Home, X

from processes import until
from taut import machine

# ---------------------------------------------------------------------- several terminals


def all_at_once(home: Home, *args: str, count: int = 4) -> list[str]:
    runs = [home.start(*args) for _ in range(count)]
    said = [run.communicate(timeout=60) for run in runs]
    assert [run.returncode for run in runs] == [0] * count, said
    assert [err for _, err in said] == [""] * count
    return [out for out, _ in said]


def test_four_terminals(home: Home) -> None:
    home.edit(("trials = 4", "trials = 24"))
    home.write("slow", "0.02")
    for out in all_at_once(home, "run", "study.toml"):
        assert "all 24 trials are finished (24 complete)" in out
    assert sorted(home.calls()) == list(range(24))
    records = home.trials()
    assert [record["number"] for record in records] == list(range(24))
    assert {record["state"] for record in records} == {"complete"}
    assert home.taut("verify", "study.toml").out == "all 24 suggestions reproduced\n"


def test_four_terminals_and_another_budget(home: Home) -> None:
    """--trials counts from the start: no terminal sees the file's smaller number meanwhile."""
    home.taut("run", "study.toml")
    home.write("slow", "0.05")
    for out in all_at_once(home, "run", "study.toml", "--trials", "20"):
        assert "all 20 trials are finished (20 complete)" in out
    assert sorted(home.calls()) == list(range(20))


def test_four_terminals_in_batches(home: Home) -> None:
    home.edit(("trials = 4", "trials = 12"))
    all_at_once(home, "run", "study.toml", "--workers", "2", "--mode", "batch", count=2)
    assert sorted(home.calls()) == list(range(12))
    assert home.taut("verify", "study.toml").code == 0


def test_a_worker_joins(home: Home) -> None:
    home.edit(("trials = 4", "trials = 16"))
    home.write("slow", "0.1")
    run = home.start("run", "study.toml")
    until(lambda: home.calls())
    worker = home.start("worker", "runs/demo", "--workers", "2")
    assert (run.wait(60), worker.wait(60)) == (0, 0)
    assert sorted(home.calls()) == list(range(16))
    assert len({record["worker"] for record in home.trials()}) == 2
    for process in (run, worker):
        process.communicate()


# ---------------------------------------------------------------------- budgets


def test_a_larger_budget(home: Home) -> None:
    home.taut("run", "study.toml")
    before = home.trials()
    said = home.taut("run", "study.toml", "--trials", "6")
    assert said.out.startswith(
        "study demo in runs/demo: minimize loss, 6 trials, 1 worker, 4 finished before\n"
    )
    assert home.trials()[:4] == before
    home.taut("run", "runs/demo", "--trials", "7")
    assert home.calls() == list(range(7))
    home.edit(("trials = 4", "trials = 9"))
    home.taut("run", "study.toml")
    assert home.calls() == list(range(9))
    assert home.taut("verify", "study.toml").out == "all 9 suggestions reproduced\n"


def test_no_revision_without_a_change(home: Home) -> None:
    home.taut("run", "study.toml", "--trials", "5")
    home.taut("run", "study.toml", "--trials", "5")
    home.taut("run", "study.toml", "--trials", "5")
    assert len(list((home.path / "runs/demo/definition").iterdir())) == 1


def test_until(home: Home) -> None:
    home.edit(("trials = 4", 'trials = 50\nuntil = "loss <= 0.05"'))
    said = home.taut("run", "study.toml")
    assert "trial 0 reached loss <= 0.05 (1 complete)" in said.out
    assert home.calls() == [0]


def test_a_time_for_the_run(home: Home) -> None:
    home.edit(("trials = 4", "trials = 100000"))
    home.write("slow", "0.05")
    began = time.monotonic()
    said = home.taut("run", "study.toml", "--for", "0.5s")
    assert time.monotonic() - began < 5
    assert "the time given to this run is over (" in said.out
    assert 1 <= len(home.calls()) < 20


def test_a_grid_ends_by_itself(home: Home) -> None:
    home.edit(
        ("x = { uniform = [0, 1], start = 0.5 }", "x = { ordinal = [0.1, 0.2] }"),
        ('"random"', '"grid"'),
        ("[budget]\ntrials = 4\n", ""),
    )
    said = home.taut("run", "study.toml")
    assert said.err.startswith("note: ") and "4 cells" in said.err and "random" in said.err
    tried = [(record["params"]["x"], record["params"]["kind"]) for record in home.trials()]
    assert sorted(tried) == [(0.1, "a"), (0.1, "b"), (0.2, "a"), (0.2, "b")]


# ---------------------------------------------------------------------- a changed study.toml


def test_an_extended_space(home: Home) -> None:
    home.taut("run", "study.toml")
    before = home.trials()
    home.edit(
        ("x = { uniform = [0, 1], start = 0.5 }", "x = { uniform = [-4, 4] }"),
        ('["a", "b"]', '["a", "b", "c"]'),
        ("trials = 4", "trials = 30"),
    )
    home.taut("run", "study.toml", "--workers", "2")
    after = home.trials()
    assert after[:4] == before
    assert {record["params"]["kind"] for record in after[4:]} == {"a", "b", "c"}
    assert min(record["params"]["x"] for record in after[4:]) < 0
    assert home.taut("verify", "study.toml").out == "all 30 suggestions reproduced\n"
    assert (home.path / "runs/demo/study.toml").read_text() == (home.path / "study.toml").read_text()


def test_a_refused_change_changes_nothing(home: Home) -> None:
    home.taut("run", "study.toml")
    home.edit(("minimize", "maximize"), ("trials = 4", "trials = 9"))
    before = home.listing()
    said = home.taut("run", "study.toml", code=2)
    assert said.err == (
        "taut: runs/demo is there to minimize loss, not to maximize loss; "
        "use another directory for another aim\n"
    )
    assert home.listing() == before
    assert "maximize loss" in home.taut("run", "study.toml", "--dir", "other").out


def test_a_mended_command(home: Home) -> None:
    """The command may change: whoever resumes uses the new one."""
    home.edit(("train.py {args}", "train.py {args} --odd"))
    said = home.taut("run", "study.toml", code=1)
    assert "the study failed: none of its trials is complete. Trial 3 said:\n" in said.err
    assert "error: unrecognized arguments: --odd" in said.err
    home.edit(("train.py {args} --odd", "train.py {args}"), ("trials = 4", "trials = 6"))
    said = home.taut("run", "study.toml")
    assert "(2 complete, 4 failed)" in said.out


# ---------------------------------------------------------------------- places


def test_everything_moved_elsewhere(home: Home, tmp_path: Path) -> None:
    home.taut("run", "study.toml")
    moved = tmp_path / "else where"
    shutil.move(home.path, moved)
    home.path = moved
    home.taut("run", "runs/demo", "--trials", "6")
    home.edit(("trials = 4", "trials = 8"))
    home.taut("run", "study.toml")
    assert home.calls() == list(range(8))
    assert home.taut("verify", "study.toml").code == 0
    assert (moved / "runs/demo/trials/7/stdout").exists()


def test_the_study_alone_moved_elsewhere(home: Home, tmp_path: Path) -> None:
    home.taut("run", "study.toml")
    moved = tmp_path / "a" / "b" / "kept"
    moved.parent.mkdir(parents=True)
    shutil.move(home.path / "runs/demo", moved)
    assert home.taut("best", str(moved)).out.startswith("trial 0 ")
    said = home.taut("run", str(moved), "--trials", "6", code=None)
    assert said.code in (0, 2), said
    assert not [record for record in home.trials(str(moved)) if record["state"] == "failed"], (
        "no trial is wasted"
    )
    said = home.taut("run", "study.toml", "--dir", str(moved), "--trials", "6")
    assert home.calls() == list(range(6))
    assert home.taut("verify", str(moved)).out == "all 6 suggestions reproduced\n"


def test_kept_elsewhere(home: Home, tmp_path: Path) -> None:
    kept = tmp_path / "scratch" / "study"
    home.taut("run", "study.toml", "--dir", str(kept))
    assert not (home.path / "runs").exists()
    home.taut("run", str(kept), "--trials", "5", cwd=tmp_path)
    assert home.calls() == list(range(5))


def test_the_frozen_copy_means_its_study(home: Home) -> None:
    home.taut("run", "study.toml")
    assert home.taut("best", "runs/demo/study.toml").out == home.taut("best", "study.toml").out
    home.taut("run", "runs/demo/study.toml")
    assert home.calls() == list(range(4)) and not (home.path / "runs/demo/runs").exists()


DUMP = """\
import json, os, sys
names = ["TAUT_TRIAL", "TAUT_TRIAL_DIR", "TAUT_REPORT", "TAUT_PARAMS"]
told = {"words": sys.argv, "cwd": os.getcwd(), **{name: os.environ[name] for name in names}}
with open(sys.argv[1], "w") as file:
    json.dump(told, file)
with open(os.environ["TAUT_REPORT"], "a") as file:
    file.write('{"loss": 1}\\n')
"""


def dumped(home: Home, command: str, *changes: tuple[str, str], words: str = "x") -> dict[str, Any]:
    home.write("tools/dump it.py", DUMP)
    home.edit(('"python train.py {args}"', command), ("trials = 4", "trials = 2"), *changes)
    home.taut("run", "study.toml")
    found: dict[str, Any] = json.loads((home.path / "runs/demo/trials/1" / words).read_text())
    return found


def test_placeholders(home: Home) -> None:
    told = dumped(
        home,
        '["python", "{base}/tools/dump it.py", "x", "{trial_dir}", "{trial}", '
        '"--x={x}", "{x}:{kind}", "{{x}}", "two words", "*", "$HOME", ""]',
    )
    trial = f"{home.path}/runs/demo/trials/1"
    assert told["words"] == [
        f"{home.path}/tools/dump it.py",
        *["x", trial, "1", f"--x={X[1]}", f"{X[1]}:{KIND[1]}", "{x}", "two words", "*", "$HOME", ""],
    ]
    assert (told["cwd"], told["TAUT_TRIAL"], told["TAUT_TRIAL_DIR"]) == (trial, "1", trial)
    assert Path(told["TAUT_REPORT"]).is_absolute()
    assert json.loads(told["TAUT_PARAMS"]) == {"x": X[1], "kind": "a"}


def test_scripts_are_relative_to_the_study_file(home: Home, tmp_path: Path) -> None:
    home.write("tools/dump it.py", DUMP)
    home.edit(("python train.py {args}", "python 'tools/dump it.py' x {args}"))
    home.taut("run", str(home.path / "study.toml"), cwd=tmp_path)
    told = json.loads((home.path / "runs/demo/trials/1/x").read_text())
    assert told["words"] == [f"{home.path}/tools/dump it.py", "x", "--x", str(X[1]), "--kind", "a"]


def test_a_working_directory(home: Home) -> None:
    (home.path / "work").mkdir()
    home.write("tools/dump it.py", DUMP)
    home.edit(
        ("python train.py {args}", "python 'tools/dump it.py' {trial_dir}/x {args}"),
        ('minimize = "loss"', 'minimize = "loss"\ncwd = "work"\nstyle = "--k=v"'),
    )
    home.taut("run", "study.toml")
    told = json.loads((home.path / "runs/demo/trials/1/x").read_text())
    assert told["cwd"] == f"{home.path}/work"
    assert told["words"][2:] == [f"--x={X[1]}", "--kind=a"]


def test_a_patched_config(home: Home) -> None:
    home.write("base.json", '{"model": {"x": 0, "kind": "z"}, "steps": 3}')
    home.write(
        "cfg.py",
        "import json, os, sys\n"
        "model = json.load(open(sys.argv[1]))\n"
        "assert model['steps'] == 3\n"
        "open(os.environ['TAUT_REPORT'], 'a').write(json.dumps({'loss': model['model']['x']}) + '\\n')\n",
    )
    home.edit(
        ('"python train.py {args}"', '"python cfg.py {config}"\nconfig = "base.json"'),
        ("x = {", '"model.x" = {'),
        ("kind = {", '"model.kind" = {'),
    )
    home.taut("run", "study.toml")
    assert [record["values"]["loss"] for record in home.trials()] == X[:4]
    assert json.loads((home.path / "base.json").read_text())["model"]["x"] == 0


# ---------------------------------------------------------------------- ways of reporting

REPORTS = {
    "report": "import taut; taut.report(step=1, loss=9); taut.report(loss=(flags.x - 0.3) ** 2)",
    "file": 'import json, os; open(os.environ["TAUT_REPORT"], "a").write(json.dumps({"loss": (flags.x - 0.3) ** 2}))',
    "stdout": 'print("epoch 1 loss=9"); print("epoch 2 loss=" + repr((flags.x - 0.3) ** 2))',
    "json": 'import json; json.dump({"loss": (flags.x - 0.3) ** 2}, open("out.json", "w"))',
    "csv": 'print("step,loss", 1, file=open("log.csv", "w")) or open("log.csv", "w").write(f"step,loss\\n1,9\\n2,{(flags.x - 0.3) ** 2!r}\\n")',
    "hf": 'print({"eval_loss": 9, "epoch": 1.0}); print({"eval_loss": (flags.x - 0.3) ** 2, "epoch": 2.0})',
}
RESULTS = {
    "stdout": "stdout = 'loss=(?P<loss>\\S+)'",
    "json": 'json = "out.json"',
    "csv": 'csv = "log.csv"',
    "hf": 'stdout = "hf"',
}
FLAGS = """\
import argparse
parser = argparse.ArgumentParser()
parser.add_argument("--x", type=float)
parser.add_argument("--kind")
flags = parser.parse_args()
"""


@pytest.mark.parametrize("way", REPORTS)
def test_ways_of_reporting(home: Home, way: str) -> None:
    home.write("train.py", FLAGS + REPORTS[way] + "\n")
    results = f"\n[results]\n{RESULTS[way]}\n" if way in RESULTS else ""
    metric = "eval_loss" if way == "hf" else "loss"
    home.edit(("[sampler]", f"{results}[sampler]"), ('"loss"', f'"{metric}"'), ("trials = 4", "trials = 2"))
    home.taut("run", "study.toml")
    assert [record["values"][metric] for record in home.trials()] == [(x - 0.3) ** 2 for x in X[:2]]


# ---------------------------------------------------------------------- failures

FAILING = """\
import os, sys, time
report = open(os.environ["TAUT_REPORT"], "a")
say = lambda text: print(text, file=report, flush=True)
trial = int(os.environ["TAUT_TRIAL"])
if trial == 0:
    say('{"loss": 1}')
elif trial == 1:
    say('{"loss": NaN}')
elif trial == 2:
    say('{"los": 1}')
elif trial == 3:
    say('{"loss": 3}')
    print("step 1 of 9", file=sys.stderr)
    sys.exit("no such data: /data/x")
elif trial == 4:
    time.sleep(60)
elif trial == 5:
    say('{"loss": Infinity}')
elif trial == 6:
    raise ValueError("x [/bold] is odd")
elif trial == 7:
    os.kill(os.getpid(), 9)
elif trial == 8:
    pass
elif trial == 9:
    say('{"loss": "high"}')
elif trial == 10:
    say("loss 1")
"""
HINT = (
    "Report it with taut.report(loss=...), as a JSON line in the file $TAUT_REPORT, "
    "or say in [results] where it stands (stdout, json, csv)"
)
ERRORS = {
    1: "loss is nan: the run diverged or divided by zero",
    2: f"loss was not reported; found los; did you mean 'los'? {HINT}",
    3: "exit code 1\nstep 1 of 9\nno such data: /data/x",
    4: "timed out after 0.5 s",
    5: "loss is inf: the run diverged or divided by zero",
    7: "killed by SIGKILL" + (" (out of memory?)" if machine.kills() is None else ""),
    8: f"loss was not reported, and no other metric was. {HINT}",
    9: f"loss was reported as 'high', which is not a number. {HINT}",
}


@pytest.fixture(scope="module")
def failed(tmp_path_factory: pytest.TempPathFactory) -> Home:
    home = Home(tmp_path_factory.mktemp("failed") / "project")
    home.write("train.py", FAILING)
    home.edit(("trials = 4", "trials = 11"), ('"loss"', '"loss"\ntimeout = "0.5s"'))
    said = home.taut("run", "study.toml")
    assert "all 11 trials are finished (1 complete, 10 failed)" in said.out
    for n, error in ERRORS.items():
        last = error.splitlines()[-1]
        assert home.masked(f"trial {n} failed after 0.1 s: {last}\n") in home.masked(said.out)
    return home


@pytest.mark.parametrize("n", ERRORS)
def test_failures_say_why(failed: Home, n: int) -> None:
    record = failed.trials()[n]
    assert (record["state"], record["values"]) == ("failed", {})
    assert record["error"] == ERRORS[n]


def test_failures_in_the_table(failed: Home) -> None:
    lines = failed.taut("trials", "study.toml").out.splitlines()
    for n, error in ERRORS.items():
        at = next(i for i, line in enumerate(lines) if line.startswith(f"{n} "))
        assert lines[at].split()[1] == "failed"
        assert lines[at + 1].strip() == error.splitlines()[-1]
    whole = failed.taut("trials", "study.toml", "--errors").out
    assert "step 1 of 9" in whole and "step 1 of 9" not in "\n".join(lines)
    assert "Traceback (most recent call last):" in whole
    assert "ValueError: x [/bold] is odd" in whole


def test_what_failures_leave(failed: Home) -> None:
    trials = failed.path / "runs/demo/trials"
    assert (trials / "3/stderr").read_text() == "step 1 of 9\nno such data: /data/x\n"
    assert failed.taut("status", "study.toml").out.splitlines()[1] == (
        "trials: 11 of 11 finished (1 complete, 10 failed)"
    )
    assert failed.taut("best", "study.toml").out.startswith("trial 0  loss=1\n")
    assert json.loads(failed.taut("best", "study.toml", "--json").out)["number"] == 0


# ---------------------------------------------------------------------- functions

TUNE = """\
import os, time

def objective(x, kind):
    print("x is", x)
    if kind == "b":
        raise ValueError(f"{x} is odd")
    return {"loss": (x - 0.3) ** 2, "size": 1}

def with_trial(trial):
    trial.report(step=1, loss=9)
    return (trial.params["x"] - 0.3) ** 2

class Model:
    def fit(trial):
        time.sleep(60 if trial.number == 1 else 0)
        return trial.number

def dies(trial):
    if trial.number == 1 and trial.attempt == 0:
        os._exit(3)
    return trial.number

def leaves(trial):
    if trial.number == 1:
        raise SystemExit(3)
    odd = {2: float("nan"), 3: "high", 4: {"loss": "high"}, 5: None, 6: {"los": 1}, 7: {"loss": None}}
    return odd.get(trial.number, trial.number)
"""


def function(home: Home, name: str, *changes: tuple[str, str]) -> None:
    home.write("tune.py", TUNE)
    home.edit(('command = "python train.py {args}"', f'function = "tune:{name}"'), *changes)


@pytest.mark.parametrize("workers", ["1", "2"])
def test_a_function(home: Home, workers: str) -> None:
    function(home, "objective")
    said = home.taut("run", "study.toml", "--workers", workers)
    assert "all 4 trials are finished (2 complete, 2 failed)" in said.out
    records = home.trials()
    assert [record["state"] for record in records] == ["complete", "complete", "failed", "failed"]
    assert records[1]["values"] == {"loss": (X[1] - 0.3) ** 2, "size": 1}
    assert f"ValueError: {X[2]} is odd" in records[2]["error"]
    assert f'{home.path}/tune.py", line 6, in objective' in records[2]["error"]
    assert f"{X[2]} is odd" in home.taut("trials", "study.toml").out
    assert home.taut("verify", "study.toml").out == "all 4 suggestions reproduced\n"
    assert (home.path / "runs/demo/trials/1/stdout").read_text() == f"x is {X[1]}\n"
    assert "x is" not in said.out


def test_a_function_of_a_trial(home: Home, tmp_path: Path) -> None:
    function(home, "with_trial")
    home.taut("run", str(home.path / "study.toml"), cwd=tmp_path)
    assert [record["values"]["loss"] for record in home.trials()] == [(x - 0.3) ** 2 for x in X[:4]]


def test_a_function_that_takes_too_long(home: Home) -> None:
    function(home, "Model.fit", ("trials = 4", "trials = 3"), ('"loss"', '"loss"\ntimeout = "0.5s"'))
    home.taut("run", "study.toml")
    records = home.trials()
    assert [record["state"] for record in records] == ["complete", "failed", "complete"]
    assert records[1]["error"] == "timed out after 0.5 s"


def test_a_function_whose_process_dies(home: Home) -> None:
    function(home, "dies", ("trials = 4", "trials = 3"))
    home.taut("run", "study.toml")
    records = home.trials()
    assert [record["state"] for record in records] == ["complete"] * 3
    assert [record["attempts"] for record in records] == [1, 2, 1]


def test_a_function_that_keeps_killing_its_process(home: Home) -> None:
    function(home, "dies", ("trials = 4", "trials = 2"), ('"loss"', '"loss"\nretries = 2'))
    home.edit((" and trial.attempt == 0", ""), name="tune.py")
    home.taut("run", "study.toml")
    record = home.trials()[1]
    assert (record["state"], record["attempts"]) == ("failed", 3)
    assert "3" in record["error"]


def test_odd_ends_of_a_function(home: Home) -> None:
    function(home, "leaves", ("trials = 4", "trials = 9"))
    home.taut("run", "study.toml")
    records = home.trials()
    assert [record["state"] for record in records] == ["complete", *["failed"] * 7, "complete"]
    errors = [record["error"] for record in records]
    assert "SystemExit" in errors[1] or "3" in errors[1]
    assert errors[2] == "loss is nan: the run diverged or divided by zero"
    assert errors[3] == "the objective returned 'high'; return a number, or a dict of metrics by name"
    assert "loss" in errors[4] and "'high'" in errors[4]
    assert errors[5] == "no value for 'loss': it returned no metric at all"
    assert errors[6] == "no value for 'loss': it returned los; is one of them misspelt?"
    assert "loss" in errors[7] and "None" in errors[7]


def test_a_python_study_has_no_command(home: Home) -> None:
    home.write(
        "make.py",
        "import taut\n"
        "study = taut.Study('made', taut.Space(x=taut.uniform(0, 1)), minimize='loss', trials=3)\n"
        "study.run(lambda trial: trial.params['x'])\n",
    )
    subprocess.run(
        ["python", "make.py"], cwd=home.path, env=home.environment(), check=True, capture_output=True
    )
    assert "3 of 3 finished (3 complete)" in home.taut("status", "made").out
    before = home.listing()
    said = home.taut("worker", "made", code=2)
    assert said.err == (
        "taut: made: this study was made by a Python program and names no command; run that program, "
        "whose study.run() or study.work() takes part\n"
    )
    assert home.listing() == before
