"""What the commands say of studies whose trials may end early, to the letter; logs are written by hand, so that times are known."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest
from cli_home import Home
from msgspec import UNSET, structs

from handmade import hello, write
from taut.cli.common import open_study
from taut.cli.progress import Progress
from taut.cli.show import _said, _status
from taut.events import Allocation, Event, Finished, Released, Reported, Started

HOUR = 3600.0
PRUNER = """
[pruner]
method = "asha"
fidelity = { name = "epoch", min = 1, max = 9, resume = true }
"""
ACCOUNT = "pruner: asha: one of 3 goes on from each of epoch 1, 3, 9; the others wait"


def ran(n: int, first: int, last: int, loss: float, a: int = 0, t: float = 0.0) -> list[Event]:
    """An attempt that reports each epoch, one in an hour."""
    start = Started(n=n, a=a, x={"x": 0.5, "kind": "a"}, r=0, c=n + 1, t=t)
    epochs = range(first, last + 1)
    return [
        start,
        *(Reported(n=n, a=a, s=float(e), y={"loss": loss}, t=t + HOUR * (e - first + 1)) for e in epochs),
    ]


def waits(
    n: int, first: int, last: int, loss: float, a: int = 0, t: float = 0.0, kept: Any = True
) -> list[Event]:
    had = HOUR * (last - first + 1)
    why = f"waits at epoch {last} of 9 until it is promoted"
    end = Released(n=n, a=a, why=why, blame=False, t=t + had, kept=kept, had=had, at=float(last))
    return [*ran(n, first, last, loss, a, t), end]


def ends(n: int, last: int, loss: float, state: Any = "complete") -> list[Event]:
    return [*ran(n, 1, last, loss), Finished(n=n, a=0, state=state, y={"loss": loss}, t=HOUR * last)]


@pytest.fixture
def study(home: Home) -> Home:
    """A study with a pruner that has not begun."""
    home.write("study.toml", (home.path / "study.toml").read_text() + PRUNER)
    home.taut("run", "study.toml", "--for", "0.000001s")
    return home


def log(home: Home, *trials: list[Event], **who: Any) -> None:
    write(home.path / "runs/demo", 0, [hello(**who), *(event for events in trials for event in events)])


def test_a_study_that_has_not_begun(study: Home) -> None:
    assert study.taut("status", "study.toml").out == (
        f"study demo in runs/demo\ntrials: 0 of 4 finished (none yet)\nsampler: random\n{ACCOUNT}\n"
    )
    said = study.taut("best", "study.toml", code=1)
    assert said.err == "taut: no trial is complete yet (0 failed, 0 running)\n"


def test_nothing_is_complete(study: Home) -> None:
    """Trial 0 is better at epoch 1 than trial 1 at epoch 3, and does not count for it."""
    log(study, waits(0, 1, 1, 0.2), waits(1, 1, 3, 0.3), waits(2, 1, 1, 0.4))
    leads = "no trial is complete yet; at epoch 3 of 9 trial 1 leads with loss = 0.3"
    assert study.taut("status", "study.toml").out == (
        "study demo in runs/demo\n"
        "trials: 0 of 4 finished (3 waiting to be promoted)\n"
        "sampler: random\n"
        f"{ACCOUNT}\n"
        "  epoch  reached  went on  waiting  spent  saved\n"
        "      1        3        1        2    3 h   16 h\n"
        "      3        1        0        1    2 h    6 h\n"
        "      9        0\n"
        "saved about 22 h of 1 d 3 h (81%): 3 of 3 trials ended early; what ran equals 0.556 whole trials\n"
        "time: 0.0 s in finished trials, 0.0 s each, 1 worker so far\n"
        f"best: {leads}\n"
    )
    for form in ((), ("--json",)):
        said = study.taut("best", "study.toml", *form, code=1)
        assert (said.out, said.err) == ("", f"taut: {leads}\n")
    run = study.taut("run", "study.toml", "--for", "0.000001s")
    assert re.search(rf"\(3 waiting\) after .*\nsaved about 22 h .*\n{leads}\n", run.out)


def test_the_live_line_names_no_best_of_a_lower_epoch(study: Home) -> None:
    log(study, waits(0, 1, 1, 0.2), waits(1, 1, 3, 0.3), ran(2, 1, 1, 0.4))
    folder = study.path / "runs/demo"
    with open_study(str(folder)) as opened, Progress(opened, folder, 1) as progress:
        assert progress._text() == (
            "0 of 4 trials finished, 1 running, 2 waiting to be promoted  "
            "none complete; at epoch 3 of 9 trial 1 leads with loss = 0.3"
        )


def test_some_are_complete(study: Home) -> None:
    """What waits at a lower epoch is not the best, although its loss is less. One trial began again, one was interrupted."""
    again = [*waits(0, 1, 1, 0.1, kept=UNSET), *waits(0, 1, 3, 0.1, a=1, t=1e5, kept=UNSET)]
    interrupted = [
        *ran(1, 1, 2, 0.1),
        Released(n=1, a=0, why="paused", blame=False, t=7200.0, kept=True, had=7200.0),
    ]
    log(study, again, interrupted, ends(2, 9, 0.25), ends(3, 1, 0.05, "pruned"))
    lines = study.taut("status", "study.toml").out.splitlines()
    assert lines[1] == "trials: 2 of 4 finished (1 paused, 1 waiting to be promoted, 1 complete, 1 pruned)"
    assert lines[3:] == [
        ACCOUNT,
        "  epoch  reached  went on  stopped  waiting  spent  repeated  saved",
        "      1        4        3        1             5 h       1 h    8 h",
        "      3        2        1                 1    5 h              6 h",
        "      9        1                               6 h",
        "saved about 13 h of 1 d 5 h (45%): 2 of 4 trials ended early; what ran equals 1.78 whole trials; "
        "1 h repeated for want of checkpoints",
        "time: 10 h in finished trials, 5 h each, 1 worker so far",
        "best: trial 2  loss=0.25  (x=0.5  kind=a)",
    ]
    assert study.taut("best", "study.toml").out == "trial 2  loss=0.25\n  x = 0.5\n  kind = a\n"
    states = {each["number"]: (each["state"], each["values"]) for each in study.trials()}
    assert states == {
        0: ("paused", {}),
        1: ("paused", {}),
        2: ("complete", {"loss": 0.25}),
        3: ("pruned", {"loss": 0.05}),
    }
    table = study.taut("trials", "study.toml").out
    assert "waits at epoch 3 of 9 until it is promoted" in table


def test_a_best_trial_that_ended_by_itself_is_said_to(study: Home) -> None:
    log(study, ends(0, 5, 0.25))
    note = "trial 0  loss=0.25  (its last report: epoch 5 of 9)"
    assert study.taut("best", "study.toml").out.splitlines()[0] == note
    assert study.taut("status", "study.toml").out.splitlines()[-1] == f"best: {note}  (x=0.5  kind=a)"
    assert json.loads(study.taut("best", "study.toml", "--json").out)["values"] == {"loss": 0.25}


def test_gpu_hours(study: Home) -> None:
    """Jobs with two GPUs each."""
    log(study, waits(0, 1, 1, 0.2), job=Allocation("c", 7, 0, "7", "node", 2, 4))
    (study.path / "runs/demo/slurm").mkdir()
    folder = study.path / "runs/demo"
    lines = _status(open_study(str(folder)), str(folder)).splitlines()
    assert lines[4:8] == [
        "  epoch  reached  went on  waiting       spent        saved",
        "      1        1        0        1  2.00 GPU-h  16.00 GPU-h",
        "      3        0        0",
        "      9        0",
    ]
    assert lines[8].startswith("saved about 16.00 GPU-h of 18.00 GPU-h (89%): 1 of 1 trials ended early")


def test_seconds_that_run_on_are_no_news(study: Home) -> None:
    """`status --follow` does not say everything again for them."""
    log(study, ran(0, 1, 2, 0.2))
    folder = study.path / "runs/demo"
    opened = open_study(str(folder))
    first, second = (_said(opened, str(folder), folder) for _ in range(2))
    opened.store.clock = type("Later", (), {"now": lambda self: 1e9, "sleep_until": lambda *_: None})()
    third = _said(opened, str(folder), folder)
    assert [news for _, news in first] == [news for _, news in second] == [news for _, news in third]
    assert [text for text, _ in first] != [text for text, _ in third]


def test_a_pruner_that_is_not_installed_hides_nothing_else(study: Home) -> None:
    log(study, waits(0, 1, 1, 0.2))
    opened = open_study(str(study.path / "runs/demo"))
    method = structs.replace(opened.definition.pruner, method="elsewhere")
    opened.store.snapshot.revisions[-1] = structs.replace(opened.definition, pruner=method)
    lines = _status(opened, "runs/demo").splitlines()
    assert lines[3].startswith("pruner: elsewhere: it cannot say what it does (InputError: ")
    assert lines[-1] == "best: no trial is complete yet; at epoch 1 of 9 trial 0 leads with loss = 0.2"


def test_a_run_says_where_trials_stand(home: Home) -> None:
    """A function under the stopping variant: what was pruned is said with its epoch, and is no best."""
    home.write(
        "model.py",
        "def train(trial):\n"
        "    for epoch in range(1, 10):\n"
        "        trial.report(epoch, loss=trial.params['x'])\n"
        "        if trial.should_stop():\n"
        "            break\n"
        "    return trial.params['x']\n",
    )
    home.edit(
        ('command = "python train.py {args}"', 'function = "model:train"'), ("trials = 4", "trials = 6")
    )
    stopping = PRUNER.replace('"asha"', '"asha"\nvariant = "stopping"')
    home.write("study.toml", (home.path / "study.toml").read_text() + stopping)
    said = home.masked(home.taut("run", "study.toml").out)
    records = home.trials()
    pruned = [record["number"] for record in records if record["state"] == "pruned"]
    assert pruned
    for n in pruned:
        assert re.search(rf"^trial {n} pruned at epoch [13] of 9  loss=\S+  # s$", said, re.MULTILINE)
    assert f"{len(pruned)} of 6 trials ended early" in said
    complete = [record for record in records if record["state"] == "complete"]
    best = min(complete, key=lambda record: record["values"]["loss"])
    assert f"\nbest: trial {best['number']}  loss=" in said


def test_a_run_says_who_waits(home: Home) -> None:
    home.write(
        "model.py",
        "def train(trial):\n"
        "    for epoch in range(int(trial.resumed_step or 0) + 1, 10):\n"
        "        trial.report(epoch, loss=trial.params['x'])\n"
        "        if trial.should_stop():\n"
        "            (trial.checkpoint_dir / 'model').write_text('weights')\n"
        "            return\n"
        "    return trial.params['x']\n",
    )
    home.edit(('command = "python train.py {args}"', 'function = "model:train"'))
    home.write("study.toml", (home.path / "study.toml").read_text() + PRUNER)
    said = home.masked(home.taut("run", "study.toml").out)
    assert "\ntrial 0 waits at epoch 1 of 9  loss=0.5  # s\n" in said
    assert "(3 waiting, 1 complete) after # s\nsaved about # s of # s (" in said
    assert "repeated" not in said
