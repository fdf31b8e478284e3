"""What each command prints, to the letter; only durations, times and paths are masked."""

from __future__ import annotations

import csv
import json
import re
import sqlite3
import subprocess
from pathlib import Path

import pytest
from cli_home import KIND, Home, X

from taut.cli.common import open_study
from taut.cli.show import _status
from taut.samplers.random import RandomSampler
from taut.snapshot import Snapshot

LOSS = [(x - 0.3) ** 2 for x in X]
SIZE = [10 * x for x in X]


def metrics(n: int) -> str:
    return f"loss={LOSS[n]:.6g}  size={SIZE[n]:.6g}"


RUN_LINES = f"""\
trial 0 complete  {metrics(0)}  # s  best so far
trial 1 complete  {metrics(1)}  # s
trial 2 complete  {metrics(2)}  # s
trial 3 complete  {metrics(3)}  # s
"""

RUN_END = f"""\
all 4 trials are finished (4 complete) after # s
best: trial 0  {metrics(0)}
  x = 0.5
  kind = a
look at:  runs/demo  (the study)
          runs/demo/trials/0  (output of trial 0)
          taut trials runs/demo  (every trial)
"""


def test_init(tmp_path: Path) -> None:
    home = Home(tmp_path / "lora")
    (home.path / "study.toml").unlink()
    said = home.taut("init")
    assert said.out == (
        "wrote study.toml: put your command, metric and ranges there, then: taut run study.toml\n"
    )
    assert said.err == ""
    text = (home.path / "study.toml").read_text()
    assert '\nname = "lora"\n' in text
    said = home.taut("init", "--out", "sub.toml")
    assert said.out == "wrote sub.toml: put your command, metric and ranges there, then: taut run sub.toml\n"
    assert '\nname = "sub"\n' in (home.path / "sub.toml").read_text()


def test_init_in_a_directory_with_blanks(tmp_path: Path) -> None:
    home = Home(tmp_path / "My Runs")
    (home.path / "study.toml").unlink()
    home.taut("init")
    assert '\nname = "My-Runs"\n' in (home.path / "study.toml").read_text()
    home.taut("init", "--out", "two words.toml")
    assert '\nname = "two-words"\n' in (home.path / "two words.toml").read_text()


def test_what_init_writes_runs(tmp_path: Path) -> None:
    """Edited as it asks for: another metric and another budget."""
    home = Home(tmp_path / "lora")
    (home.path / "study.toml").unlink()
    home.taut("init")
    home.write("train.py", 'import os\nopen(os.environ["TAUT_REPORT"], "a").write(\'{"eval_loss": 1}\')\n')
    home.edit(("trials = 50", "trials = 3"))
    assert "all 3 trials are finished (3 complete)" in home.taut("run", "study.toml").out


def test_run_and_again(home: Home) -> None:
    first = home.taut("run", "study.toml")
    head = "study demo in runs/demo: minimize loss, 4 trials, 1 worker"
    assert home.masked(first.out) == f"{head}\n{RUN_LINES}{RUN_END}"
    assert first.err == ""
    assert (home.path / "runs/demo/study.toml").read_text() == (home.path / "study.toml").read_text()
    assert (home.path / "runs/demo/trials/1/stdout").read_text() == f"x is {X[1]}\n"
    again = home.taut("run", "study.toml")
    assert home.masked(again.out) == f"{head}, 4 finished before\n{RUN_END}"
    assert home.calls() == [0, 1, 2, 3]


def test_run_from_elsewhere(home: Home, tmp_path: Path) -> None:
    said = home.taut("run", str(home.path / "study.toml"), cwd=tmp_path)
    assert home.masked(said.out).startswith(
        "study demo in HOME/runs/demo: minimize loss, 4 trials, 1 worker\n"
    )
    assert said.err == ""


def test_worker_with_nothing_to_do(finished: Home) -> None:
    said = finished.taut("worker", "runs/demo")
    head = "study demo in runs/demo: minimize loss, 4 trials, 1 worker, 4 finished before"
    assert finished.masked(said.out) == f"{head}\n{RUN_END}"
    assert said.err == ""


def test_worker_works(home: Home) -> None:
    """A run that ends early leaves the rest to workers."""
    home.taut("run", "study.toml")
    home.taut("run", "study.toml", "--trials", "6", "--for", "0.001s")
    said = home.taut("worker", "runs/demo", "--workers", "2")
    assert "6 trials, 2 workers, " in said.out
    assert sorted(home.calls()) == list(range(6))


def test_status(finished: Home) -> None:
    said = finished.taut("status", "study.toml")
    assert said.err == ""
    lines = finished.masked(said.out).splitlines()
    assert lines[:3] == [
        "study demo in runs/demo",
        "trials: 4 of 4 finished (4 complete)",
        "sampler: random",
    ]
    assert re.fullmatch(r"time: # s in finished trials, # s each, \d workers? so far", lines[3])
    assert lines[4:] == [f"best: trial 0  {metrics(0)}  (x=0.5  kind=a)"]
    assert finished.taut("status", "runs/demo").out == said.out


def test_status_says_what_the_sampler_does(home: Home) -> None:
    home.edit(('[sampler]\nmethod = "random"\n', ""), ("trials = 4", "trials = 7"))
    home.taut("run", "study.toml", "--for", "0.000001s")
    line = "sampler: auto: gp, a Gaussian process, for the first 20 trials"
    assert home.taut("status", "study.toml").out.splitlines()[2] == line
    home.taut("run", "study.toml")
    assert home.taut("status", "study.toml").out.splitlines()[2] == line
    home.edit(("trials = 7", "trials = 25"))
    home.taut("run", "study.toml", "--workers", "2")
    assert re.fullmatch(
        r"sampler: auto: gp.*it explains \d+% of the variance.*",
        home.taut("status", "study.toml").out.splitlines()[2],
    )


class Speechless(RandomSampler):
    """A sampler that cannot say what it does."""

    def account(self, snapshot: Snapshot) -> str:
        raise ValueError("no\nidea")


def test_a_sampler_that_fails_to_say_what_it_does_hides_nothing_else(finished: Home) -> None:
    study = open_study(str(finished.path / "runs/demo"))
    study.store.proposals.sampler = Speechless()
    lines = _status(study, "runs/demo").splitlines()
    assert lines[1:3] == [
        "trials: 4 of 4 finished (4 complete)",
        "sampler: random: it cannot say what it does (ValueError: no idea)",
    ]
    assert lines[-1].startswith("best: trial 0")


def test_fewer_trials_than_are_finished(finished: Home, tmp_path: Path) -> None:
    home = finished.copy(tmp_path / "copy")
    said = home.taut("run", "study.toml", "--trials", "1").out
    assert said.startswith("study demo in runs/demo: minimize loss, 1 trial, 1 worker, 4 finished before\n")
    assert home.taut("status", "study.toml").out.splitlines()[1] == (
        "trials: 4 finished, budget 1 (4 complete)"
    )


def test_status_follow_ends_at_once_when_all_is_done(finished: Home) -> None:
    assert finished.taut("status", "study.toml", "--follow").out == finished.taut("status", "study.toml").out


def test_status_follow_ends_with_the_study(home: Home) -> None:
    home.write("slow", "0.4")
    run = home.start("run", "study.toml", stdout=subprocess.DEVNULL)
    while not home.calls():
        pass
    said = home.taut("status", "study.toml", "--follow")
    assert run.wait(30) == 0
    looks = re.findall(r"^trials: (\d) of 4 finished", said.out, re.MULTILINE)
    assert looks[-1] == "4" and looks == sorted(looks) and len(looks) >= 2


@pytest.mark.parametrize(
    "ending",
    [
        ("trials = 4", 'trials = 100\nuntil = "loss <= 0.05"'),
        ("trials = 4", "hours = 0.000001"),
    ],
)
def test_status_follow_ends_with_other_budgets(home: Home, ending: tuple[str, str]) -> None:
    home.edit(ending)
    home.taut("run", "study.toml")
    assert home.taut("status", "study.toml", "--follow").out.startswith("study demo in runs/demo\n")


def test_best(finished: Home) -> None:
    said = finished.taut("best", "study.toml")
    assert said.out == f"trial 0  {metrics(0)}\n  x = 0.5\n  kind = a\n"
    assert said.err == ""
    best = json.loads(finished.taut("best", "runs/demo", "--json").out)
    assert best == finished.trials()[0]


def test_best_of_several_objectives(home: Home) -> None:
    home.edit(('minimize = "loss"', 'minimize = "loss"\nmaximize = "size"'))
    run = home.taut("run", "study.toml")
    assert "minimize loss and maximize size, 4 trials" in run.out
    # 0.5 is nearest to 0.3, the others are larger; the first trial has the least loss, the third the largest size.
    lines = [
        "front: 3 of 4 complete trials, to minimize loss and maximize size",
        "  trial       loss     size        parameters",
        *(
            f"  {n:>5}  {LOSS[n]:>9.6g}  {SIZE[n]:>7.6g}  {mark:4}  x={X[n]:.6g}  kind={KIND[n]}"
            for n, mark in ((0, ""), (3, "knee"), (2, ""))
        ),
        f"hypervolume: {hypervolume([0, 3, 2]):.6g} from loss = {LOSS[2]:.6g}, size = {SIZE[1]:.6g} "
        "(the worst of 4 trials; it moves with them)",
        "knee: trial 3, where the front bends most: farthest from the line between its ends",
        "  against trial 0 (lowest loss): loss 135 % higher, size 21 % higher",
        "  against trial 2 (highest size): loss 64 % lower, size 25 % lower",
        f"trial 3  {metrics(3)}",
        f"  x = {X[3]:.6g}",
        "  kind = b",
    ]
    assert home.taut("best", "study.toml").out.splitlines() == lines
    assert run.out.splitlines()[-3 - len(lines) :] == [
        *lines,
        "look at:  runs/demo  (the study)",
        "          runs/demo/trials/3  (output of trial 3)",
        "          taut trials runs/demo  (every trial)",
    ]
    assert re.findall(r"trial (\d) complete .*  on the front so far", run.out) == ["0", "2", "3"]
    assert home.taut("status", "study.toml").out.splitlines()[-2:] == [
        f"front: 3 trials, loss 0.04 to {LOSS[2]:.6g}, size 5 to {SIZE[2]:.6g}",
        f"knee: trial 3  {metrics(3)}  (x={X[3]:.6g}  kind=b)",
    ]


def hypervolume(front: list[int]) -> float:
    """Of trials sorted by loss, which their sizes are, too; from the worst of the first four trials."""
    volume, low = 0.0, SIZE[1]
    for n in front:
        volume += (SIZE[n] - low) * (LOSS[2] - LOSS[n])
        low = SIZE[n]
    return volume


def test_best_of_several_objectives_as_json(home: Home) -> None:
    home.edit(('minimize = "loss"', 'minimize = "loss"\nmaximize = "size"'))
    home.taut("run", "study.toml")
    told = json.loads(home.taut("best", "study.toml", "--json").out)
    assert [record["number"] for record in told["front"]] == [0, 3, 2]
    assert told["front"][1] == home.trials()[3]
    assert told["hypervolume"] == pytest.approx(hypervolume([0, 3, 2]))
    assert told["reference"] == {"values": {"loss": LOSS[2], "size": SIZE[1]}, "stated": False}
    assert told["best"] == {
        "number": 0,
        "reason": "lowest loss, the first objective; no preference is stated",
        "against": ["trial 2 (highest size): loss 85 % lower, size 39 % lower"],
    }
    assert told["knee"]["number"] == 3 and len(told["knee"]["against"]) == 2


def test_best_by_preference_and_from_a_stated_reference(home: Home) -> None:
    home.edit(
        (
            'minimize = "loss"',
            'minimize = "loss"\nmaximize = "size"\nprefer = ["loss within 150%", "size"]\n'
            "reference = { loss = 0.2, size = 0 }",
        )
    )
    run = home.taut("run", "study.toml").out
    assert run.startswith(
        "study demo in runs/demo: minimize loss and maximize size (preferring loss within 150%, then size), 4 trials, "
    )
    assert re.findall(r"trial (\d) complete .*  best so far", run) == ["0", "3"]
    lines = home.taut("best", "study.toml").out.splitlines()
    assert lines[5:8] == [
        f"hypervolume: {5 * (0.2 - 0.04) + (SIZE[3] - 5) * (0.2 - LOSS[3]):.6g} from loss = 0.2, size = 0 "
        "(as the study states); 1 trial of the front is not better than that and adds nothing",
        "best: trial 3, highest size of the 3 trials with loss within 150% of the lowest, 0.04",
        "  against trial 0 (lowest loss): loss 135 % higher, size 21 % higher",
    ]
    assert lines[-3:] == [f"trial 3  {metrics(3)}", f"  x = {X[3]:.6g}", "  kind = b"]
    status = home.taut("status", "study.toml").out.splitlines()
    assert "preference: loss within 150%, then size" in status
    assert status[-1] == f"best: trial 3  {metrics(3)}  (x={X[3]:.6g}  kind=b)"
    assert json.loads(home.taut("best", "study.toml", "--json").out)["best"]["number"] == 3
    home.edit(('prefer = ["loss within 150%", "size"]', "prefer = { loss = 1, size = 9 }"))
    home.taut("run", "study.toml")  # nothing is left to run, but the file is read
    assert (
        "best: trial 2, the best weighted sum, 1 loss + 9 size, each scaled by its range on the front\n"
        in home.taut("best", "study.toml").out
    )
    assert home.taut("verify", "study.toml").out == "all 4 suggestions reproduced\n"


def test_best_at_every_cost(home: Home) -> None:
    """gp with aim = "front": the size is what a trial costs."""
    home.edit(('method = "random"', 'method = "gp"\naim = "front"\ncost = "size"'))
    home.taut("run", "study.toml")
    lines = home.taut("best", "study.toml").out.splitlines()
    best = int(lines[0].split()[1])
    assert lines[0].startswith(f"trial {best}  loss=") and lines[2].startswith("  kind = ")
    assert re.fullmatch(r"front: \d of 4 complete trials, to minimize loss and minimize size", lines[3])
    assert not any(line.startswith("hypervolume") for line in lines)
    told = json.loads(home.taut("best", "study.toml", "--json").out)
    sizes = [record["values"]["size"] for record in told["front"]]
    assert told["best"]["number"] == told["front"][0]["number"] == best and sizes == sorted(
        sizes, reverse=True
    )
    assert told["best"]["reason"] == "lowest loss" and told["hypervolume"] is None
    assert re.search(
        r"^front: \d trials?, loss .*\nbest: trial \d ", home.taut("status", "study.toml").out, re.M
    )


def test_best_respects_constraints(home: Home) -> None:
    home.edit(('minimize = "loss"', 'minimize = "loss"\nsubject_to = "size <= 1"'))
    assert home.taut("run", "study.toml").out.count("best so far") == 1
    assert home.taut("best", "study.toml").out == f"trial 1  {metrics(1)}\n  x = {X[1]:.6g}\n  kind = a\n"


def test_no_best(home: Home) -> None:
    home.edit(('minimize = "loss"', 'minimize = "loss"\nsubject_to = ["size <= 0.1"]'))
    run = home.taut("run", "study.toml", code=1)
    none = f"none of 4 complete trials fulfils size <= 0.1; trial 1 is nearest, with size = {SIZE[1]:.6g}"
    assert run.err == f"{none}\n"
    said = home.taut("best", "study.toml", code=1)
    assert (said.out, said.err) == ("", f"taut: {none}\n")
    assert home.taut("status", "study.toml").out.splitlines()[-1] == f"best: {none}"


def test_trials(finished: Home) -> None:
    said = finished.taut("trials", "study.toml")
    assert said.err == ""
    lines = [line.split() for line in finished.masked(said.out).splitlines()]
    assert lines[0] == ["trial", "state", "tries", "took", "metrics", "parameters"]
    for n, line in enumerate(lines[1:]):
        loss, size, x = f"loss={LOSS[n]:.6g}", f"size={SIZE[n]:.6g}", f"x={X[n]:.6g}"
        assert line == [str(n), "complete", "1", "#", "s", loss, size, x, f"kind={KIND[n]}"]
    starts = {line.index("x=" if n else "parameters") for n, line in enumerate(said.out.splitlines())}
    assert len(starts) == 1, "columns are aligned"


def test_trials_json(finished: Home) -> None:
    said = finished.taut("trials", "study.toml", "--json")
    assert said.err == ""
    records = json.loads(said.out)
    assert records == finished.trials()
    assert [record["number"] for record in records] == [0, 1, 2, 3]
    for n, record in enumerate(records):
        assert {"number", "state", "params", "values", "attempts", "worker", "started", "finished"} <= set(
            record
        )
        assert record["state"] == "complete"
        assert record["params"] == {"x": X[n], "kind": KIND[n]}
        assert record["values"] == pytest.approx({"loss": LOSS[n], "size": SIZE[n]})
        assert record["attempts"] == 1
        assert isinstance(record["worker"], int)
        assert 0 < record["finished"] - record["started"] < 60
        assert record["error"] is None


def test_trials_csv(finished: Home) -> None:
    said = finished.taut("trials", "study.toml", "--csv")
    assert said.err == ""
    rows = list(csv.DictReader(said.out.splitlines()))
    assert [row["number"] for row in rows] == ["0", "1", "2", "3"]
    assert [float(row["params.x"]) for row in rows] == X[:4]
    assert [row["params.kind"] for row in rows] == KIND[:4]
    assert [float(row["values.loss"]) for row in rows] == pytest.approx(LOSS[:4])
    assert {row["state"] for row in rows} == {"complete"}


def test_verify(finished: Home) -> None:
    said = finished.taut("verify", "study.toml")
    assert (said.out, said.err) == ("all 4 suggestions reproduced\n", "")


def test_verify_names_what_is_damaged(home: Home) -> None:
    home.taut("run", "study.toml")
    log = home.path / "runs/demo/log/0000.jsonl"
    text = log.read_bytes()
    spoiled = text.replace(b'"kind":"b"', b'"kind":"a"', 1)
    assert spoiled != text
    log.write_bytes(spoiled)
    said = home.taut("verify", "study.toml", code=1)
    assert said.out.startswith("damaged  ")
    assert re.search(r"0000\.jsonl:\d+", said.out)
    assert "damaged: " in home.taut("status", "study.toml").out
    log.write_bytes(text[:-5])  # a torn tail is a crash's trace
    assert "torn     " in home.taut("verify", "study.toml").out


def test_export_csv(finished: Home) -> None:
    said = finished.taut("export", "study.toml", "--to", "csv")
    assert (said.out, said.err) == ("4 trials written to demo.csv\n", "")
    with open(finished.path / "demo.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [float(row["params.x"]) for row in rows] == X[:4]
    assert (finished.path / "demo.csv").read_text() == finished.taut("trials", "study.toml", "--csv").out
    assert finished.taut("export", "study.toml", "--to", "csv", "--force").code == 0


def test_export_sqlite(finished: Home) -> None:
    said = finished.taut("export", "runs/demo", "table.sqlite", "--to", "sqlite")
    assert said.out == "4 trials written to table.sqlite\n"
    base = sqlite3.connect(finished.path / "table.sqlite")
    rows = base.execute("SELECT number, value FROM params WHERE name = 'x' ORDER BY number").fetchall()
    base.close()
    assert [(n, json.loads(text)) for n, text in rows] == list(enumerate(X[:4]))


def test_export_parquet(finished: Home) -> None:
    parquet = pytest.importorskip("pyarrow.parquet")
    said = finished.taut("export", "study.toml", "--to", "parquet")
    assert said.out == "4 trials written to demo.parquet\n"
    table = parquet.read_table(finished.path / "demo.parquet").to_pydict()
    assert table["params.x"] == X[:4]


def test_doctor(home: Home) -> None:
    before = home.listing()
    said = home.taut("doctor")
    assert said.err == ""
    names = [line[6:].split("  ")[0] for line in said.out.splitlines() if not line.startswith(" ")]
    assert names[:9] == [
        "file system",
        "space",
        "directory",
        "exclusive files",
        "symbolic links",
        "hard links",
        "appends",
        "syncs",
        "clock",
    ]
    assert {"Python", "taut", "cores", "memory", "open files", "Slurm", "HyperQueue", "GPU"} <= set(names)
    assert {line[:4].strip() for line in said.out.splitlines()} <= {"ok", "warn", ""}
    assert [row[0] for row in home.listing()] == [row[0] for row in before]


def test_doctor_of_a_study(finished: Home) -> None:
    said = finished.taut("doctor", "runs/demo")
    assert re.search(r"^ok +study +demo: 4 trials, 4 finished, \d writers?$", said.out, re.MULTILINE)
    assert re.search(r"^ok +log lines +whole$", said.out, re.MULTILINE)


# ---------------------------------------------------------------------- sample


def test_sample(home: Home) -> None:
    before = home.listing()
    for n in (0, 1, 4):
        said = home.taut("sample", "study.toml", "--index", str(n))
        assert (said.out, said.err) == (json.dumps({"x": X[n], "kind": KIND[n]}) + "\n", "")
    assert (
        home.taut("sample", "study.toml", "--index", "2", "--format", "args").out == f"--x {X[2]} --kind b\n"
    )
    assert home.taut("sample", "study.toml", "--index", "2", "--format", "shell").out == f"x={X[2]}\nkind=b\n"
    assert home.listing() == before, "no file is left behind"


@pytest.mark.parametrize("sampler", ["", '[sampler]\nmethod = "auto"\n'], ids=["left out", "auto"])
def test_samples_learn_from_nothing(home: Home, sampler: str) -> None:
    """What `auto` learns from is not there, so it draws at random."""
    home.edit(('[sampler]\nmethod = "random"\n', sampler))
    said = home.taut("sample", "study.toml", "--index", "2")
    assert (said.out, said.err) == (json.dumps({"x": X[2], "kind": KIND[2]}) + "\n", "")


def test_a_method_that_learns_has_no_samples(home: Home) -> None:
    home.edit(('"random"', '"gp"'))
    assert home.taut("sample", "study.toml", "--index", "2", code=2).err == (
        "taut: sampler.method: gp learns from other trials, so it has no I-th sample; "
        'use method = "random" or "quasirandom" here (without [sampler] it is "random"), or `taut run` and `taut worker`\n'
    )


def test_sample_is_what_run_tries(finished: Home) -> None:
    for record in finished.trials():
        said = finished.taut("sample", "runs/demo", "--index", str(record["number"]))
        assert json.loads(said.out) == record["params"]


AWKWARD = """\
command = "python train.py {args}"
minimize = "loss"
style = "STYLE"
[space]
a = { choice = ["two words; $HOME `id` \\"q\\" 'p'"] }
flag = { choice = [true] }
sizes = { choice = [[1, 2]] }
"model.lr" = { uniform = [0.25, 0.25] }
low = { uniform = [-1.5, -1.5] }
off = { uniform = [0, 1], when = "flag == false" }
both = { expr = "2 * low" }
"""
TEXT = "two words; $HOME `id` \"q\" 'p'"


@pytest.mark.parametrize(
    ("style", "words"),
    [
        (
            "--k v",
            [
                "--a",
                TEXT,
                "--flag",
                "true",
                "--sizes",
                "1",
                "2",
                "--model.lr",
                "0.25",
                "--low=-1.5",
                "--both=-3.0",
            ],
        ),
        (
            "--k=v",
            [f"--a={TEXT}", "--flag=true", "--sizes=[1,2]", "--model.lr=0.25", "--low=-1.5", "--both=-3.0"],
        ),
        ("k=v", [f"a={TEXT}", "flag=true", "sizes=[1,2]", "model.lr=0.25", "low=-1.5", "both=-3.0"]),
    ],
)
def test_sample_in_a_shell(home: Home, style: str, words: list[str]) -> None:
    home.write(
        "study.toml",
        AWKWARD.replace('off = { uniform = [0, 1], when = "flag == false" }\n', "").replace("STYLE", style),
    )
    args = home.taut("sample", "study.toml", "--index", "0", "--format", "args").out
    shell = subprocess.run(
        ["bash", "-c", f"printf '%s\\n' {args}"], capture_output=True, text=True, check=True
    )
    assert shell.stdout.splitlines() == words
    lines = home.taut("sample", "study.toml", "--index", "0", "--format", "shell").out
    code = f'{lines}\nprintf \'%s\\n\' "$a" "$flag" "$sizes" "$model_lr" "$low" "$both"'
    shell = subprocess.run(["bash", "-c", code], capture_output=True, text=True, check=True)
    assert shell.stdout.splitlines() == [TEXT, "true", "[1, 2]", "0.25", "-1.5", "-3.0"]


def test_sample_refuses_two_names_for_one_variable(home: Home) -> None:
    home.edit(("kind = {", 'kind.a = { choice = ["p"] }\nkind_a = {'))
    said = home.taut("sample", "study.toml", "--index", "0", "--format", "shell", code=2)
    assert said.out == ""
    assert said.err == (
        "taut: 'kind_a' cannot be the shell variable kind_a, which is another parameter's; use --format json or args\n"
    )
    assert (
        "--kind.a p --kind_a a" in home.taut("sample", "study.toml", "--index", "0", "--format", "args").out
    )


# ---------------------------------------------------------------------- looking


def test_looking_leaves_no_trace(home: Home) -> None:
    home.taut("run", "study.toml")
    before = home.listing()
    for command in ("status", "best", "trials", "verify"):
        home.taut(command, "study.toml")
    home.taut("sample", "study.toml", "--index", "3")
    home.taut("trials", "study.toml", "--csv")
    assert home.listing() == before


def test_a_study_without_trials(home: Home) -> None:
    run = home.taut("run", "study.toml", "--for", "0.000001s")
    assert home.masked(run.out) == (
        "study demo in runs/demo: minimize loss, 4 trials, 1 worker\n"
        "the time given to this run is over (none finished) after # s\n"
    )
    status = home.taut("status", "study.toml").out
    assert status == "study demo in runs/demo\ntrials: 0 of 4 finished (none yet)\nsampler: random\n"
    assert home.taut("trials", "study.toml").out == "trial  state  tries  took  metrics  parameters\n"
    assert home.trials() == []
    assert home.taut("verify", "study.toml").out == "all 0 suggestions reproduced\n"
    best = home.taut("best", "study.toml", code=1)
    assert (best.out, best.err) == ("", "taut: no trial is complete yet (0 failed, 0 running)\n")
    assert home.taut("export", "study.toml", "--to", "csv").out == "0 trials written to demo.csv\n"


def test_a_spoiled_definition(home: Home) -> None:
    home.taut("run", "study.toml")
    home.write("runs/demo/definition/0000.json", "garbage")
    for command in ("status", "verify", "run"):
        said = home.taut(command, "runs/demo", code=1)
        assert said.out == ""
        assert home.masked(said.err) == (
            "taut: HOME/runs/demo/definition/0000.json: the definition cannot be read: JSON is malformed: "
            "invalid character (byte 0); restore it from a copy of the study\n"
        )


def test_paths_with_blanks_are_quoted(home: Home, tmp_path: Path) -> None:
    said = home.taut("run", "study.toml", "--dir", "my study")
    assert "taut trials 'my study'  (every trial)\n" in said.out
    assert home.taut("status", "my study").out.startswith("study demo in my study\n")


def test_odd_output_of_a_command(home: Home) -> None:
    home.write(
        "train.py", "import sys\nsys.stderr.buffer.write(b'\\x1b[31mred\\x1b[0m caf\\xe9\\n')\nsys.exit(1)\n"
    )
    said = home.taut("run", "study.toml", code=1)
    assert "failed after" in said.out and "red caf\ufffd\n" in said.out
    assert "red caf\ufffd\n" in home.taut("trials", "study.toml").out
    assert "\x1b" not in said.out + said.err
