"""`taut export --to optuna`, `taut import` and `taut dashboard`, as a user types them."""

from __future__ import annotations

import http.client
import re
import signal
import subprocess
import sys

import pytest
from cli_home import Home

optuna = pytest.importorskip("optuna")

TRAIN = """\
def objective(trial):
    x = trial.suggest_float("x", 0.0, 1.0)
    if trial.suggest_categorical("kind", ["a", "b"]) == "a":
        x += trial.suggest_float("y", 0.0, 1.0)
    return x
"""

GOING_ON = """\
name = "lora"
function = "train:objective"
minimize = "value"

[budget]
trials = 10
"""


def test_there_and_back(finished: Home) -> None:
    said = finished.taut("export", "study.toml", "--to", "optuna")
    assert said.out == "4 trials written to demo.db\n" and said.err == ""
    study = optuna.load_study(study_name="demo", storage=f"sqlite:///{finished.path / 'demo.db'}")
    assert [trial.params for trial in study.trials] == [trial["params"] for trial in finished.trials()]
    said = finished.taut("export", "study.toml", "--to", "optuna", code=2)
    assert said.err == "taut: demo.db exists; choose another path, or replace it (--force, overwrite=True)\n"
    finished.taut("export", "study.toml", "--to", "optuna", "--force")
    finished.taut("export", "study.toml", "demo.journal", "--to", "optuna")
    said = finished.taut("import", "demo.journal", "runs/again")
    assert said.out.startswith(
        "4 trials of 'demo' are in runs/again (4 complete)\nlook at it with: taut status runs/again\n"
    )
    assert finished.taut("best", "runs/again").out == finished.taut("best", "study.toml").out
    assert (
        "all 0 suggestions reproduced; 4 trials were imported, and not chosen here"
        in finished.taut("verify", "runs/again").out
    )
    assert "4 finished" in finished.taut("status", "runs/again").out
    assert len(finished.taut("trials", "runs/again", "--csv").out.splitlines()) == 5


def test_a_study_of_optuna_goes_on_from_a_file(home: Home) -> None:
    namespace: dict[str, object] = {}
    exec(TRAIN, namespace)
    home.write("train.py", TRAIN)
    study = optuna.create_study(storage=f"sqlite:///{home.path / 'o.db'}", study_name="lora")
    study.optimize(namespace["objective"], n_trials=6)  # type: ignore[arg-type]
    said = home.taut("import", "sqlite:///o.db", "runs/lora")
    assert "6 trials of 'lora' are in runs/lora (6 complete)" in said.out
    home.write("lora.toml", GOING_ON)
    said = home.taut("run", "lora.toml")
    assert len(home.trials("runs/lora")) == 10
    assert "all 4 suggestions reproduced; 6 trials were imported" in home.taut("verify", "lora.toml").out


def test_a_study_of_optuna_goes_on_with_a_command(home: Home) -> None:
    """Its file states the space: what was read off the trials is then what is known."""
    study = optuna.create_study(storage=f"sqlite:///{home.path / 'o.db'}", study_name="demo")

    def objective(trial: optuna.Trial) -> float:
        kind = trial.suggest_categorical("kind", ["a", "b"])
        x = trial.suggest_float("x", 0.0, 1.0) if kind == "a" else 1.0
        trial.set_user_attr("size", 10 * x)
        return (x - 0.3) ** 2

    study.set_metric_names(["loss"])
    study.optimize(objective, n_trials=5)
    home.taut("import", "o.db", "runs/demo")
    home.edit(("trials = 4", "trials = 8"), ("start = 0.5", "when = \"kind == 'a'\""), ("random", "tpe"))
    home.write("train.py", (home.path / "train.py").read_text().replace("required=True", "default=1.0"))
    home.taut("run", "study.toml")
    trials = home.trials()
    assert len(trials) == 8 and {trial["state"] for trial in trials} == {"complete"}
    assert all(("x" in trial["params"]) == (trial["params"]["kind"] == "a") for trial in trials)
    assert "3 suggestions reproduced; 5 trials were imported" in home.taut("verify", "study.toml").out


def test_what_cannot_be_read_is_told(home: Home) -> None:
    before = home.listing()
    said = home.taut("import", "nowhere.db", "runs/x", code=2)
    assert said.err.startswith(
        "taut: nowhere.db: there is no such file; give an SQLite or journal file of Optuna"
    )
    said = home.taut("import", "study.toml", "runs/x", code=2)
    assert "is neither an SQLite nor a journal file of Optuna" in said.err
    said = home.taut("dashboard", "runs/x", code=2)
    assert "there is no such study directory" in said.err
    assert home.listing() == before


@pytest.mark.parametrize(
    ("missing", "command", "extra"),
    [
        ("optuna", ["import", "a.db", "b"], "optuna"),
        ("optuna", ["export", "study.toml", "--to", "optuna"], "optuna"),
        ("optuna_dashboard", ["dashboard", "study.toml"], "dashboard"),
    ],
)
def test_without_optuna_it_says_how_to_get_it(
    finished: Home, missing: str, command: list[str], extra: str
) -> None:
    code = f"import sys; sys.modules[{missing!r}] = None; from taut.cli import main; main({command!r})"
    ran = subprocess.run(
        [sys.executable, "-c", code],
        cwd=finished.path,
        env=finished.environment(),
        capture_output=True,
        text=True,
    )
    assert ran.returncode == 2
    name = missing.replace("_", "-")
    assert ran.stderr == (
        f"taut: this needs {name}, which is not installed where taut is: pip install 'taut[{extra}]'\n"
    )


def test_the_dashboard_runs_until_ctrl_c(finished: Home) -> None:
    pytest.importorskip("optuna_dashboard")
    process = finished.start("dashboard", "study.toml", "--port", "0")
    assert process.stdout is not None
    try:
        url = process.stdout.readline()
        found = re.fullmatch(r"study\.toml is shown at http://127\.0\.0\.1:(\d+)(/\?token=[\w-]{32})\n", url)
        assert found, url
        assert f"ssh -L {found[1]}:127.0.0.1:{found[1]}" in process.stdout.readline()
        assert process.stdout.readline() == "end it with Ctrl-C\n"
        connection = http.client.HTTPConnection("127.0.0.1", int(found[1]), timeout=20)
        connection.request("GET", found[2])
        assert connection.getresponse().status == 303
        connection.close()
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=20)
    finally:
        process.kill()
    assert process.returncode == 0 and out == err == ""
