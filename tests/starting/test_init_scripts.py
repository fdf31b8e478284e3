"""Drafts of scripts: what is searched and why, what the command becomes; and that they run."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from drafting import Desk

from taut.errors import InputError
from taut.executors.arguments import Template

HERE = Path(__file__).parent
ROOT = HERE.parents[1]

SWITCHES = """
    import argparse
    p = argparse.ArgumentParser()
    p.add_argument("data")
    p.add_argument("--learning-rate", type=float, default=3e-2)
    p.add_argument("--optimizer", choices=["sgd", "adamw"], default="sgd")
    p.add_argument("--momentum", type=float, default=0.9)
    p.add_argument("--nesterov", action="store_true")
    p.add_argument("--use-ema", action=argparse.BooleanOptionalAction, default=True)
    p.add_argument("--save-dir", default="checkpoints")
    p.add_argument("--max-iters", type=int, default=9)
    p.add_argument("--seed", type=int, default=0)
    a = p.parse_args()
    for it in range(1, a.max_iters + 1):
        loss = (a.learning_rate - 0.01) ** 2 + 1 / it
        print("iter", it, "train loss", loss * 2, "valid loss", loss)
"""


def taut(*words: str, cwd: Path, code: int = 0) -> str:
    ran = subprocess.run(
        [sys.executable, "-m", "taut", *words],
        cwd=cwd,
        capture_output=True,
        text=True,
        timeout=110,
        env={
            "PYTHONPATH": str(ROOT / "src"),
            "PATH": f"{Path(sys.executable).parent}:/usr/bin:/bin",
            "HOME": str(cwd),
        },
    )
    assert ran.returncode == code, ran.stdout + ran.stderr
    return ran.stdout + ran.stderr


def test_the_digits_example(desk: Desk) -> None:
    shutil.copy(ROOT / "examples" / "digits" / "train.py", desk.place)
    text = desk.draft("train.py")
    golden = HERE / "golden" / "digits.toml"
    assert text == golden.read_text(), f"if the catalogue has changed: taut init train.py --out {golden}"
    study = desk.study("train.py")
    assert study.evaluation.command == ["python", "train.py", "{args}"]
    assert study.space["momentum"]["when"] == "solver == 'sgd'"
    assert study.space["learning_rate_init"]["start"] == 1e-3, "what the script does by itself comes first"
    assert study.fidelity is not None and study.fidelity.max == 25
    assert not {"seed", "epochs", "test"} & set(study.space)


def test_a_drafted_study_runs(desk: Desk) -> None:
    pytest.importorskip("sklearn", reason="scikit-learn trains the digits example")
    shutil.copy(ROOT / "examples" / "digits" / "train.py", desk.place)
    said = taut("init", "train.py", "--", "--epochs", "3", cwd=desk.place)
    assert (
        said.startswith("wrote study.toml: 7 parameters of train.py: ")
        and "minimize val_loss: printed in" in said
    )
    out = taut("run", "study.toml", "--trials", "1", cwd=desk.place)
    assert "trial 0 complete" in out
    first = json.loads(taut("trials", "study.toml", "--json", cwd=desk.place))[0]
    assert first["params"]["learning_rate_init"] == 1e-3 and 0 < first["values"]["val_loss"] < 3


def test_the_users_own_command_stays_and_is_where_the_search_starts(desk: Desk) -> None:
    desk.write("train.py", SWITCHES)
    desk.write("corpus.txt", "words")
    study = desk.study("train.py", "corpus.txt", "--learning-rate", "0.02", "--seed=3", "--max-iters", "27")
    command = study.evaluation.command
    assert command is not None
    assert command[:6] == ["python", "train.py", "corpus.txt", "--seed=3", "--max-iters", "27"]
    assert command[6:8] == ["--save-dir", "{trial_dir}/out"]
    assert study.space["learning_rate"]["start"] == 0.02
    assert study.fidelity is not None and study.fidelity.max == 27
    words = Template(command, "--k v").expand(
        {"learning_rate": 0.5, "optimizer": "adamw"}, {"trial_dir": "/t/0"}
    )
    assert words[6:] == ["--save-dir", "/t/0/out", "--learning-rate", "0.5", "--optimizer", "adamw"]


def test_other_launchers_stay(desk: Desk) -> None:
    desk.write("train.py", SWITCHES)
    command = desk.study("torchrun", "--nproc_per_node", "2", "train.py", "x.txt").evaluation.command
    assert command is not None and command[:5] == ["torchrun", "--nproc_per_node", "2", "train.py", "x.txt"]


def test_what_a_script_requires_and_nobody_gave_is_named(desk: Desk) -> None:
    desk.write("train.py", SWITCHES)
    outline = desk.outline("train.py")
    assert outline.to_fill == {"DATA": "data, which the script requires"}
    assert "# REPLACE DATA: data, which the script requires" in desk.draft("train.py")


def test_a_flag_without_a_value_can_be_searched(desk: Desk) -> None:
    desk.write("train.py", SWITCHES)
    text = desk.draft("train.py", "x.txt")
    assert "# nesterov = { choice = [false, true], start = false }" in text
    text = text.replace("# nesterov = {", "nesterov = {").replace("# use_ema = {", "use_ema = {")
    text = text.replace(" --optimizer", " {nesterov:--nesterov} {use_ema:--use-ema|--no-use-ema} --optimizer")
    (desk.place / "study.toml").write_text(text)
    (desk.place / "x.txt").write_text("x")
    out = taut("run", "study.toml", "--trials", "4", cwd=desk.place)
    assert "failed" not in out
    trials = json.loads(taut("trials", "study.toml", "--json", cwd=desk.place))
    assert {type(each["params"]["nesterov"]) for each in trials} == {bool}


def test_a_configuration_of_the_script_gives_parameters_too(desk: Desk) -> None:
    desk.write("conf.json", '{"model": {"lr": 0.001, "width": 64}, "epochs": 2}')
    desk.write(
        "train.py",
        """
        import argparse, json
        p = argparse.ArgumentParser()
        p.add_argument("--config", required=True)
        p.add_argument("--dropout", type=float, default=0.1)
        a = p.parse_args()
        print("score:", json.load(open(a.config))["model"]["lr"] * a.dropout)
        """,
    )
    study = desk.study("train.py", "--config", "conf.json")
    assert study.evaluation.config == "conf.json"
    assert study.evaluation.command == [
        "python",
        "train.py",
        "--config",
        "{config}",
        "--dropout",
        "{dropout}",
    ]
    assert {"model__lr", "dropout"} <= set(study.space)
    taut("init", "train.py", "--", "--config", "conf.json", cwd=desk.place)
    assert "2 complete" in taut("run", "study.toml", "--trials", "2", cwd=desk.place)


def test_data_beside_the_script_are_found_from_the_trials_directory(desk: Desk) -> None:
    desk.write("data/words.txt", "a b c")
    desk.write(
        "train.py",
        """
        import argparse
        p = argparse.ArgumentParser()
        p.add_argument("--text", default="data/words.txt")
        p.add_argument("--lr", type=float, default=0.1)
        a = p.parse_args()
        print("loss:", a.lr * len(open(a.text).read()))
        """,
    )
    taut("init", "train.py", cwd=desk.place)
    assert "1 complete" in taut("run", "study.toml", "--trials", "1", cwd=desk.place)


def test_a_function(desk: Desk) -> None:
    desk.write(
        "work.py",
        """
        def train(learning_rate=1e-3, hidden_size: int = 64, data="x"):
            return {"val_loss": (learning_rate - 0.01) ** 2 + 1 / hidden_size, "seconds": 1.0}

        def objective(trial):
            x = trial.suggest_float("x", 0, 1)
            return x

        def closed(trial):
            return 1.0

        def needs(corpus):
            return 1.0
        """,
    )
    study = desk.study("work:train")
    assert study.evaluation.function == "work:train" and set(study.space) == {"learning_rate", "hidden_size"}
    assert study.objectives[0].metric == "val_loss"
    assert desk.study("work:objective").space == {}
    taut("init", "work:train", cwd=desk.place)
    assert "3 complete" in taut("run", "study.toml", "--trials", "3", cwd=desk.place)
    with pytest.raises(InputError, match="takes a trial and never says by name what it reads of it"):
        desk.outline("work:closed")
    with pytest.raises(InputError, match="none of its settings could be searched"):
        desk.outline("work:needs")
    with pytest.raises(InputError, match="no function 'trian'; did you mean 'train'"):
        desk.outline("work:trian")


@pytest.mark.parametrize(
    ("files", "words", "problem"),
    [
        ({}, ["trian.py"], "trian.py: there is no such script"),
        (
            {"a.py": "print(1)"},
            ["a.py"],
            "a.py: no flags were found in it; give it flags, for instance with argparse",
        ),
        ({"a.py": "def train(lr=1): ..."}, ["a.py"], "or name a function of it: taut init a:train"),
        ({"a.py": "import hydra"}, ["a.py"], "or let it list them itself: taut init --run-help a.py"),
        ({"a.py": "def f(:"}, ["a.py"], "a.py:1: this Python cannot read it"),
        ({"a.toml": "x = 1"}, ["a.toml"], "its keys are not those of Axolotl"),
        ({}, ["make"], "'make' is no script, configuration or function"),
        ({"a.py": "import taut\ns = taut.Study('x')"}, ["a.py"], r"makes its study itself \(a.py:2\)"),
    ],
)
def test_what_cannot_be_read_is_refused(
    desk: Desk, files: dict[str, str], words: list[str], problem: str
) -> None:
    for name, text in files.items():
        desk.write(name, text)
    with pytest.raises(InputError, match=problem):
        desk.outline(*words)


def test_nothing_is_overwritten_and_nothing_left_behind(desk: Desk) -> None:
    desk.write("train.py", SWITCHES)
    taut("init", "trian.py", cwd=desk.place, code=2)
    assert sorted(path.name for path in desk.place.iterdir()) == ["train.py"]
    taut("init", "train.py", cwd=desk.place)
    before = (desk.place / "study.toml").read_text()
    said = taut("init", "train.py", cwd=desk.place, code=2)
    assert "study.toml exists; taut does not overwrite it" in said
    assert (desk.place / "study.toml").read_text() == before


def test_run_help_holds_the_source_against_the_script_itself(desk: Desk) -> None:
    desk.write(
        "train.py",
        """
        import argparse
        p = argparse.ArgumentParser()
        for name in ("lr", "dropout"):
            p.add_argument(f"--{name}", type=float, default=0.1, help="(default: 0.1)")
        if False:
            p.add_argument("--momentum", type=float, default=0.9)
        p.parse_args()
        print("loss:", 1.0)
        """,
    )
    outline = desk.outline("train.py", run_help=True, python=sys.executable)
    assert {pick.flag.name for pick in outline.selection.picks} == {"lr", "dropout"}
    assert any("momentum stood in the source, but its --help does not have" in note for note in outline.notes)


@pytest.mark.slow
def test_a_script_of_hugging_face_trains(desk: Desk) -> None:
    pytest.importorskip("accelerate", reason="the Trainer needs accelerate")
    shutil.copy(HERE / "scripts" / "clm.py", desk.place)
    study = desk.study("clm.py")
    assert study.evaluation.results.stdout == "hf" and study.objectives[0].metric == "eval_loss"
    assert "--eval_strategy" in (study.evaluation.command or ())
    taut("init", "clm.py", "--", "--num_train_epochs", "1", cwd=desk.place)
    out = taut("run", "study.toml", "--trials", "1", cwd=desk.place)
    assert "trial 0 complete" in out
