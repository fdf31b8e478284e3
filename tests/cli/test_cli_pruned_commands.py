"""Commands under successive halving, from the study file to the log: who stops, who waits, and how much was trained."""

from __future__ import annotations

from cli_home import Home

STUDY = """\
name = "demo"
command = "python train.py {args}"
minimize = "loss"
[space]
x = { uniform = [0, 1] }
[budget]
trials = 9
[sampler]
method = "random"
[pruner]
method = "asha"
fidelity = { name = "epoch", min = 1, max = 9 }
"""

# Knows only that its numbers go to a file; takes some time for each epoch.
REPORTS = """\
import argparse, json, os, time
parser = argparse.ArgumentParser()
parser.add_argument("--x", type=float)
x = parser.parse_args().x
for epoch in range(1, 10):
    time.sleep(0.2)
    with open(os.environ["TAUT_TRIAL_DIR"] + "/epochs", "a") as file:
        file.write(f"{epoch}\\n")
    with open(os.environ["TAUT_REPORT"], "a") as file:
        file.write(json.dumps({"step": epoch, "loss": (x - 0.3) ** 2 + 1 / epoch}) + "\\n")
"""

# Knows nothing of taut but where to save and to go on from: it trains so far, prints its result and ends.
RESUMES = """\
import argparse, os, pathlib
parser = argparse.ArgumentParser()
parser.add_argument("--x", type=float)
parser.add_argument("--epochs", type=int)
given = parser.parse_args()
before = os.environ.get("TAUT_RESUMED_FROM")
done = int(pathlib.Path(before, "state").read_text()) if before else 0
for epoch in range(done + 1, given.epochs + 1):
    with open(os.environ["TAUT_TRIAL_DIR"] + "/epochs", "a") as file:
        file.write(f"{epoch}\\n")
pathlib.Path(os.environ["TAUT_CHECKPOINT_DIR"], "state").write_text(str(given.epochs))
print("loss =", (given.x - 0.3) ** 2 + 1 / given.epochs)
"""


def epochs(home: Home, number: int) -> list[int]:
    return [int(line) for line in (home.path / f"runs/demo/trials/{number}/epochs").read_text().split()]


def verified(home: Home) -> bool:
    return home.taut("verify", "study.toml").out.endswith("reproduced\n")


def test_a_script_that_reports_its_epochs_is_stopped(home: Home) -> None:
    home.write("study.toml", STUDY)
    home.write("train.py", REPORTS)
    home.taut("run", "study.toml")
    records = home.trials()
    assert [record["number"] for record in records] == list(range(9))
    # Two trials go on, since there are no three to compare.
    states = {record["number"]: record["state"] for record in records}
    assert states[0] == states[1] == "complete"
    assert set(states.values()) == {"complete", "pruned"}
    for record in records:
        trained = epochs(home, record["number"])
        assert trained == list(range(1, len(trained) + 1))
        assert (len(trained) == 9) == (record["state"] == "complete")
        assert record["error"] is None and record["attempts"] == 1
    assert sum(len(epochs(home, n)) for n in range(9)) < 9 * 9 * 3 / 4
    assert verified(home)


def test_a_script_that_knows_nothing_of_pruners_is_promoted(home: Home) -> None:
    home.write(
        "study.toml",
        STUDY.replace("{args}", "{args} --epochs {epoch}").replace("max = 9", "max = 9, resume = true")
        + "[results]\nstdout = 'loss = (?P<loss>\\S+)'\n",
    )
    home.write("train.py", RESUMES)
    home.taut("run", "study.toml")
    records = home.trials()
    reached = {}
    for record in records:
        trained = epochs(home, record["number"])
        assert trained == list(range(1, len(trained) + 1)), "no epoch twice, none left out"
        reached[record["number"]] = len(trained)
        assert len(trained) in (1, 3, 9)
        assert record["state"] == ("complete" if len(trained) == 9 else "paused")
        assert record["attempts"] == {1: 1, 3: 2, 9: 3}[len(trained)]
    assert sorted(reached.values())[-1] == 9
    assert 3 <= sum(rung >= 3 for rung in reached.values()) < 6
    (complete,) = [record for record in records if record["state"] == "complete"]
    assert complete["values"]["loss"] == (complete["params"]["x"] - 0.3) ** 2 + 1 / 9
    assert verified(home)


def test_a_script_that_is_ended_from_outside_waits_where_it_was(home: Home) -> None:
    """It hears of the rung a step too late, begins again when it is promoted, and is not judged on its way there."""
    home.write(
        "study.toml", STUDY.replace("max = 9", "max = 9, resume = true").replace("trials = 9", "trials = 3")
    )
    home.write("train.py", REPORTS)
    home.taut("run", "study.toml")
    records = home.trials()
    assert sorted(record["state"] for record in records) == ["complete", "paused", "paused"]
    for record in records:
        trained = epochs(home, record["number"])
        if record["state"] == "paused":
            assert len(trained) < 9 and f"waits at epoch {trained[-1]} of 9" in record["error"]
        else:
            assert trained[-9:] == list(range(1, 10)) and record["attempts"] > 1
    assert verified(home)
