"""The Python face: everything a user's script or notebook may do to a study, wanted or not."""

from __future__ import annotations

import math
import os
import pickle
import re
import signal
import subprocess
import sys
import tempfile
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import taut
from processes import begin, output, script
from taut.metrics.pareto import non_dominated
from taut.opening import make_proposals
from taut.trial import State
from taut.verify import verify

SPACE = taut.Space(x=taut.uniform(0.0, 1.0), kind=taut.choice(["a", "b"]))


@pytest.fixture(params=["memory", "disk"])
def where(request: pytest.FixtureRequest, tmp_path: Path) -> Path | None:
    return None if request.param == "memory" else tmp_path / "study"


def fresh(where: Path | None, **options: Any) -> taut.Study:
    return taut.Study(where, options.pop("space", SPACE), **{"minimize": "loss", **options})


def files(folder: Path) -> dict[str, bytes | str]:
    """Everything in a folder, byte for byte."""
    found: dict[str, bytes | str] = {}
    for path in sorted(folder.rglob("*")):
        name = str(path.relative_to(folder))
        found[name] = os.readlink(path) if path.is_symlink() else path.read_bytes() if path.is_file() else "/"
    return found


def states(study: taut.Study) -> list[str]:
    return [trial.state for trial in study.trials]


@contextmanager
def within(seconds: float) -> Iterator[None]:
    """Fail rather than hang."""

    def late(*_: object) -> None:
        raise TimeoutError(f"it hangs, after {seconds} s")

    before = signal.signal(signal.SIGALRM, late)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def good(folder: Path) -> bool:
    found = verify(folder, make_proposals)
    return found.good and not found.torn


# -- ask and tell ---------------------------------------------------------------------------------------


def test_ask_and_tell(where: Path | None) -> None:
    study = fresh(where, trials=3, seed=5)
    trial = study.ask()
    assert (trial.number, trial.attempt, trial.told) == (0, 0, False)
    assert set(trial.params) == {"x", "kind"} and 0 <= trial.params["x"] <= 1
    assert states(study) == ["running"]
    study.tell(trial, loss=0.5, seconds=3)
    assert trial.told
    study.ask().tell(loss=0.25)
    study.tell(study.ask().number, loss=0.75)
    assert states(study) == ["complete"] * 3
    assert [t.values["loss"] for t in study.trials] == [0.5, 0.25, 0.75]
    assert study.trials[0].values == {"loss": 0.5, "seconds": 3.0}
    assert study.trials[0].params == trial.params and study.best.number == 1
    assert study.trials[0].duration is not None and study.trials[0].duration >= 0
    with pytest.raises(taut.StudyError, match="all 3 trials are finished"):
        study.ask()
    with pytest.raises(taut.StudyError, match="all 3 trials are finished"):
        study.ask(2)
    if where is not None:
        again = taut.Study(where)
        assert list(again.trials) == list(study.trials) and good(where)


def test_ask_for_many_and_tell_lists(where: Path | None) -> None:
    study = fresh(where, trials=700, seed=1)
    trials = study.ask(600)
    assert [trial.number for trial in trials] == list(range(600))
    study.tell(trials, loss=np.arange(600.0), power=range(600))
    assert study.snapshot.counts[State.COMPLETE] == 600 and all(trial.told for trial in trials)
    assert study.snapshot.values("loss").tolist() == list(range(600))
    rest = study.ask(600)
    assert [trial.number for trial in rest] == list(range(600, 700))
    study.tell(rest, loss=[1.0] * 100)
    one_by_one = fresh(None, trials=700, seed=1)
    for trial in trials[:300]:
        assert one_by_one.ask().params == trial.params
    if where is not None:
        assert good(where)


@pytest.mark.parametrize("count", [0, -1, 2.5, "3", True, [1], math.nan])
def test_a_wrong_count_is_refused(count: Any, tmp_path: Path) -> None:
    study = fresh(tmp_path / "s")
    with pytest.raises(taut.InputError):
        study.ask(count)
    assert not (tmp_path / "s").exists()


def test_each_trial_is_told_once(where: Path | None) -> None:
    study = fresh(where, trials=9)
    one, two, three = study.ask(3)
    study.tell(one, loss=1.0)
    for again in (
        lambda: study.tell(one, loss=2),
        lambda: study.tell(0, loss=2),
        lambda: study.fail(one, "no"),
    ):
        with pytest.raises(taut.InputError, match="trial 0 was told before"):
            again()
    with pytest.raises(taut.InputError, match="trial 0 was told before"):
        study.tell([two, one], loss=[1.0, 2.0])
    assert not two.told and states(study)[1] == "running"
    with pytest.raises(taut.InputError):
        study.tell([two, two], loss=[1.0, 2.0])
    assert not two.told and states(study)[1] == "running"
    with pytest.raises(taut.InputError):
        study.tell([two, three], loss=[1.0, "high"])
    assert states(study) == ["complete", "running", "running"]
    assert study.trials[0].values == {"loss": 1.0}


def test_what_cannot_be_told_is_refused(where: Path | None) -> None:
    study = fresh(where, trials=9)
    trial = study.ask()
    tries: list[Callable[[], Any]] = [
        lambda: study.tell(5, loss=1),
        lambda: study.tell(-1, loss=1),
        lambda: study.tell(10**30, loss=1),
        lambda: study.tell(1.5, loss=1),  # type: ignore[arg-type]
        lambda: study.tell(None, loss=1),  # type: ignore[arg-type]
        lambda: study.tell("0", loss=1),  # type: ignore[arg-type]
        lambda: study.tell([trial], loss=0.5),
        lambda: study.tell([trial], loss=[]),
        lambda: study.tell([trial], loss=[1, 2]),
        lambda: study.tell(trial, loss="high"),
        lambda: study.tell(trial, loss=None),
        lambda: study.tell(trial, loss=[0.5]),
        lambda: study.tell(trial, loss=10**400),
        lambda: trial.report(math.nan, loss=1),
        lambda: trial.report(math.inf, loss=1),
        lambda: trial.report("first", loss=1),  # type: ignore[arg-type]
        lambda: trial.report(0, loss="high"),  # type: ignore[arg-type]
    ]
    for told in tries:
        with pytest.raises(taut.InputError):
            told()
    assert states(study) == ["running"] and not trial.told
    study.tell(trial, loss=1)
    assert where is None or good(where)


def test_a_trial_of_another_study_is_not_taken(where: Path | None) -> None:
    study, other = fresh(where, trials=9), fresh(None, trials=9)
    trial = other.ask(4)[3]
    study.ask()
    with pytest.raises(taut.InputError):
        study.tell(trial, loss=1)
    with pytest.raises(taut.InputError):
        study.tell(other.snapshot.size and trial.number, loss=1)
    assert states(study) == ["running"] and study.snapshot.size == 1


def test_nothing_told_is_a_failure_that_says_so(where: Path | None) -> None:
    study = fresh(where, trials=9, subject_to="memory <= 4")
    told: list[dict[str, Any]] = [
        {},
        {"los": 1},
        {"loss": math.nan, "memory": 1},
        {"loss": 1.0},
        {"loss": 1, "memory": math.inf},
    ]
    for values in told:
        study.tell(study.ask(), **values)
    study.fail(study.ask(), "the GPU fell off")
    study.fail(study.ask(), ValueError("no such layer"))
    assert states(study) == ["failed"] * 7
    errors = [trial.error or "" for trial in study.trials]
    for error, text in zip(
        errors,
        ["no metric", "'loss'.*los", "loss is nan", "'memory'", "memory is inf", "GPU", "no such layer"],
        strict=True,
    ):
        assert re.search(text, error), error
    assert study.trials[1].values == {"los": 1.0} and study.trials[4].values == {"loss": 1.0}


def test_reports_and_metrics_may_have_any_name(where: Path | None) -> None:
    study = fresh(where, trials=2, minimize="trial", maximize="self")
    for trial in study.work():
        trial.report(step=0, **{"trial": 1.0, "self": 2.0, "values": 3.0, "n": 4.0})
    assert study.best.values == {"trial": 1.0, "self": 2.0, "values": 3.0, "n": 4.0}
    assert study.snapshot.curves.reports("n").value.tolist() == [4.0, 4.0]


def test_what_a_user_does_to_params_stays_with_the_user(where: Path | None) -> None:
    space = taut.Space(x=taut.uniform(0, 1), layers=taut.choice([[1, 2], [3, 4]]))
    expected = [trial.params for trial in fresh(None, space=space, seed=2, sampler="random").ask(6)]
    study = fresh(where, space=space, seed=2, sampler="random")
    seen = []
    for _ in range(6):
        trial = study.ask()
        seen.append({"x": trial.params["x"], "layers": list(trial.params["layers"])})
        trial.params["x"] *= 2
        trial.params["layers"].append(9)
        trial.params.pop("x")
        study.tell(trial, loss=1)
    assert seen == expected == [trial.params for trial in study.trials]
    assert where is None or good(where)


def test_objectives_that_change_their_params_change_no_record(where: Path | None) -> None:
    expected = [trial.params for trial in fresh(None, sampler="random").ask(4)]

    def spoil(trial: taut.Trial) -> float:
        trial.params["x"] = -1.0
        del trial.params["kind"]
        return 1.0

    study = fresh(where, sampler="random").run(spoil, trials=4)
    assert [trial.params for trial in study.trials] == expected
    assert where is None or good(where)


def test_seeds_and_directories(tmp_path: Path) -> None:
    study = fresh(tmp_path / "s", seed=3)
    trials = study.ask(50)
    seeds = [trial.seed for trial in trials]
    assert len(set(seeds)) == 50 and all(0 <= seed < 2**32 for seed in seeds)
    assert [trial.seed for trial in fresh(None, seed=3).ask(50)] == seeds
    assert [trial.seed for trial in fresh(None, seed=4).ask(50)] != seeds
    assert not (tmp_path / "s" / "trials").exists()
    directory = trials[7].directory
    assert directory is not None and directory.is_dir() and directory == tmp_path / "s" / "trials" / "7"
    assert fresh(None).ask().directory is None


# -- budgets, resuming ----------------------------------------------------------------------------------


def test_trials_are_those_of_the_whole_study(tmp_path: Path) -> None:
    calls = []

    def train(trial: taut.Trial) -> float:
        calls.append(trial.number)
        if trial.number % 3 == 0:
            raise ValueError("no")
        return trial.params["x"]  # type: ignore[no-any-return]

    path = tmp_path / "s"
    fresh(path, sampler="random").run(train, trials=4)
    fresh(path).run(train, trials=4)
    assert calls == [0, 1, 2, 3]
    taut.Study(path).run(train, trials=9)
    taut.Study(path, trials=11).run(train)
    taut.Study(path).run(train, trials=5)  # there are enough
    assert calls == list(range(11)) and good(path)
    whole = [trial.params for trial in fresh(None, trials=11, sampler="random").ask(11)]
    assert [trial.params for trial in taut.Study(path).trials] == whole


def test_a_run_needs_an_end() -> None:
    with pytest.raises(taut.InputError, match="no end is in sight"):
        fresh(None).run(lambda trial: 1.0)
    study = fresh(None, until="loss < 0.3").run(lambda trial: 1 / (1 + trial.number))
    assert len(study.trials) == 4
    study = fresh(None, trials=3, until="loss < 0").run(lambda trial: 1.0)
    assert len(study.trials) == 3


def test_hours_of_a_run() -> None:
    begun = time.monotonic()
    study = fresh(None).run(lambda trial: time.sleep(0.02) or 1.0, trials=1000, hours=0.2 / 3600)
    assert time.monotonic() - begun < 1.0 and 0 < len(study.trials) < 20
    assert set(states(study)) == {"complete"}


@pytest.mark.parametrize(
    "options",
    [
        {"trials": 0},
        {"trials": -1},
        {"trials": 2.5},
        {"trials": True},
        {"trials": "10"},
        {"trials": math.nan},
        {"workers": 0},
        {"workers": 1.5},
        {"workers": True},
        {"workers": "2"},
        {"mode": "sequental"},
        {"mode": None},
        {"hours": "2"},
        {"hours": -1},
        {"hours": 0},
        {"hours": math.nan},
        {"hours": True},
    ],
    ids=str,
)
def test_wrong_options_of_run_are_refused_and_leave_nothing(options: dict[str, Any], tmp_path: Path) -> None:
    study = fresh(tmp_path / "s", trials=1)
    with pytest.raises(taut.InputError) as caught, within(5):
        study.run(lambda trial: 1.0, **{"trials": 3, **options})
    assert caught.value.at == (next(iter(options)),)
    assert not (tmp_path / "s").exists()


def bad_two(a: float, b: float) -> float:
    return 1.0


def bad_none() -> float:
    return 1.0


def bad_x(x: float) -> float:
    return x


def bad_more(x: float, kind: str, rate: float) -> float:
    return x


def bad_keywords(rate: float, **params: Any) -> float:
    return rate


def bad_two_keywords(a: float, b: float, **params: Any) -> float:
    return a


@pytest.mark.parametrize(
    "objective",
    [bad_two, bad_none, bad_x, bad_more, bad_two_keywords, 3, None, "train", "json:loads"],
    ids=lambda f: getattr(f, "__name__", repr(f)),
)
@pytest.mark.parametrize("workers", [1, 2])
def test_objectives_that_cannot_be_called_are_refused_before_anything_is_written(
    objective: Any, workers: int, tmp_path: Path
) -> None:
    path = tmp_path / "s"
    study = fresh(path, trials=2)
    study.tell(study.ask(), loss=1)
    before = files(path)
    with pytest.raises(taut.InputError):
        study.run(objective, trials=50, workers=workers)
    assert files(path) == before and study.definition.budget.trials == 2


@pytest.mark.parametrize("count", [np.int64(4), np.int32(4), 4])
def test_numpy_integers_are_integers(count: Any, tmp_path: Path) -> None:
    study = fresh(tmp_path / "s", trials=count, seed=count, retries=count)
    study.run(lambda trial: 1.0)
    assert len(taut.Study(tmp_path / "s").trials) == 4
    assert len(fresh(None).run(lambda trial: 1.0, trials=count).trials) == 4


# -- what a study refuses -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "options",
    [
        {"trials": "10"},
        {"trials": 2.5},
        {"trials": True},
        {"trials": 0},
        {"seed": 1.5},
        {"seed": "x"},
        {"seed": True},
        {"seed": -1},
        {"seed": 2**63},
        {"retries": 1.5},
        {"retries": -1},
        {"retries": "2"},
        {"minimize": 5},
        {"minimize": "a b"},
        {"minimize": ""},
        {"minimize": []},
        {"minimize": ["loss", "loss"]},
        {"minimize": ["loss", 5]},
        {"maximize": "loss"},
        {"maximize": 5},
        {"subject_to": 5},
        {"subject_to": "memory <="},
        {"subject_to": "2 * memory"},
        {"subject_to": ["memory < 3", 5]},
        {"until": 5},
        {"until": "loss"},
        {"until": "loss < __import__('os')"},
        {"sampler": 5},
        {"sampler": "nope"},
        {"sampler": {"method": 5}},
        {"name": 5},
        {"space": 3},
        {"space": {"x": [0, 1]}},
    ],
    ids=str,
)
def test_wrong_definitions_are_refused_and_leave_nothing(options: dict[str, Any], tmp_path: Path) -> None:
    path = tmp_path / "s"
    with pytest.raises(taut.InputError) as caught:
        taut.Study(path, **{"space": SPACE, "minimize": "loss", **options})
    assert len(str(caught.value)) > 10
    assert not path.exists()
    fresh(path, trials=3).ask()
    before = files(path)
    if options != {"space": None} and options != {"minimize": []}:
        with pytest.raises(taut.InputError):
            taut.Study(path, **options)
    assert files(path) == before


@pytest.mark.parametrize(
    "options, text",
    [
        ({"minimize": "error"}, "not to minimize error"),
        ({"maximize": "loss"}, "maximize loss"),
        ({"minimize": ["loss", "time"]}, "minimize time"),
        ({"seed": 8}, "seed"),
        ({"space": taut.Space(x=taut.uniform(0.5, 1.0), kind=taut.choice(["a", "b"]))}, "x"),
        ({"space": taut.Space(x=taut.uniform(0.0, 1.0), kind=taut.choice(["a"]))}, "kind"),
        ({"space": taut.Space(x=taut.uniform(0.0, 1.0))}, "kind"),
        ({"space": taut.Space(x=taut.loguniform(0.1, 1.0), kind=taut.choice(["a", "b"]))}, "loguniform"),
        ({"sampler": {"method": "grid", "resolution": 3}}, "grid"),
    ],
    ids=lambda value: str(value)[:50],
)
def test_changes_that_spoil_a_study_are_refused_and_leave_nothing(
    options: dict[str, Any], text: str, tmp_path: Path
) -> None:
    path = tmp_path / "s"
    study = fresh(path, trials=9, seed=7)
    study.tell(study.ask(2), loss=[1, 2])
    before = files(path)
    with pytest.raises(taut.InputError, match=text):
        taut.Study(path, **options)
    assert files(path) == before
    study.tell(study.ask(), loss=3)  # and the one that runs is not disturbed
    assert taut.Study(path, SPACE, minimize="loss", seed=7).definition == study.definition


def test_looking_leaves_no_trace(tmp_path: Path) -> None:
    path = tmp_path / "new" / "s"
    study = fresh(path, trials=3)
    assert len(study.trials) == 0 and len(study.pareto) == 0 and study.trials.to_frame().empty
    with pytest.raises(taut.StudyError, match="no trial is complete yet"):
        _ = study.best
    study.close()
    assert not path.parent.exists()
    fresh(path, trials=3).run(lambda trial: 1.0)
    before = files(path)
    with taut.Study(path) as again:
        assert again.best.number == 0
    assert files(path) == before


def test_a_path_that_is_no_study(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    (tmp_path / "folder").mkdir()
    for path in (tmp_path / "file", tmp_path / "file" / "s"):
        with pytest.raises(taut.InputError, match="file"):
            fresh(path)
    for path in (tmp_path / "folder", tmp_path / "nothing"):
        with pytest.raises(taut.InputError, match="no study here"):
            taut.Study(path)
    assert sorted(os.listdir(tmp_path)) == ["file", "folder"] and (tmp_path / "file").read_text() == "x"


def test_a_study_is_named_after_its_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert fresh(Path(".")).definition.name == tmp_path.name
    assert fresh(Path("deep/er")).definition.name == "er"
    assert fresh(None, name="mine").definition.name == "mine"


# -- extension ------------------------------------------------------------------------------------------


def test_a_space_is_extended_while_the_study_runs(tmp_path: Path) -> None:
    path = tmp_path / "s"
    running = fresh(path, trials=400, sampler="random")
    running.tell(running.ask(10), loss=range(10))
    pending = running.ask()
    old = [trial.params for trial in running.trials]
    wider = taut.Space(
        x=taut.uniform(-1.0, 3.0),
        kind=taut.choice(["c", "b", "a"]),
        rate=taut.uniform(5.0, 6.0, when="kind == 'c'"),
    )
    extended = taut.Study(path, wider)
    assert extended.space == wider and [trial.params for trial in extended.trials] == old
    # The one that was open goes on with its trial, and takes notice.
    running.tell(pending, loss=11)
    assert len(running.trials) == 11 and running.space == wider
    new = [trial.params for trial in running.ask(200)]
    assert any(params["kind"] == "c" and 5 <= params["rate"] <= 6 for params in new)
    assert any(params["x"] > 1 for params in new) and any(params["x"] < 0 for params in new)
    for study in (running, extended, taut.Study(path)):
        assert [trial.params for trial in study.trials] == old + new
    assert good(path)


NOTICES = """
    import sys, time
    import taut
    study = taut.Study(sys.argv[1])
    study.ask().tell(loss=1.0)
    print("ready", flush=True)
    sys.stdin.readline()
    kinds = set()
    for trial in study.work():
        kinds.add(trial.params["kind"])
        trial.tell(loss=1.0)
    print(sorted(kinds), len(study.space.parameters["kind"].values))
"""


def test_another_process_takes_notice_of_an_extension(tmp_path: Path) -> None:
    path = tmp_path / "s"
    fresh(path, trials=3).ask().tell(loss=1.0)
    process = begin(script(tmp_path, NOTICES), path, stdin=subprocess.PIPE)
    assert process.stdout is not None and process.stdout.readline() == "ready\n"
    taut.Study(path, taut.Space(x=SPACE.parameters["x"], kind=taut.choice(["a", "b", "c"])), trials=60)
    assert process.stdin is not None
    process.stdin.write("\n")
    process.stdin.flush()
    assert output(process) == "['a', 'b', 'c'] 3\n"
    assert len(taut.Study(path).trials) == 60 and good(path)


def test_a_stale_study_does_not_undo_what_another_has_extended(tmp_path: Path) -> None:
    path = tmp_path / "s"
    stale = fresh(path, trials=3)
    stale.tell(stale.ask(), loss=1)
    wider = taut.Space(x=taut.uniform(-1, 2), kind=taut.choice(["a", "b", "c"]))
    other = taut.Study(path, wider, trials=50)
    other.tell(other.ask(20), loss=range(20))
    params = [trial.params for trial in other.trials]
    stale.run(lambda trial: 1.0, trials=30)
    assert stale.space == wider == taut.Study(path).space
    assert [trial.params for trial in taut.Study(path).trials][:21] == params
    assert good(path)


def test_the_sampler_may_be_changed(tmp_path: Path) -> None:
    path = tmp_path / "s"
    study = fresh(path, trials=20, seed=2)
    study.tell(study.ask(5), loss=range(5))
    other = taut.Study(path, sampler="quasirandom")
    other.tell(other.ask(5), loss=range(5))
    assert len(study.trials) == 10
    study.tell(study.ask(5), loss=range(5))
    quasi = [trial.params for trial in fresh(None, seed=2, sampler="quasirandom").ask(15)]
    assert [trial.params for trial in study.trials][5:] == quasi[5:] and good(path)


# -- run ------------------------------------------------------------------------------------------------


def by_trial(trial: taut.Trial) -> float:
    return trial.params["x"]  # type: ignore[no-any-return]


def by_name(x: float, kind: str) -> float:
    return x


def by_default(x: float, kind: str, epochs: int = 3) -> float:
    return x


def by_keywords(**params: Any) -> float:
    assert set(params) == {"x", "kind"}
    return params["x"]  # type: ignore[no-any-return]


def some_by_name(x: float, **rest: Any) -> float:
    assert set(rest) == {"kind"}
    return x


def by_other_name(t: taut.Trial, verbose: bool = False) -> float:
    return by_trial(t)


def trial_and_keywords(trial: taut.Trial, **rest: Any) -> float:
    return by_trial(trial)


class Callable_:
    def __call__(self, x: float, kind: str) -> float:
        return x

    def method(self, trial: taut.Trial) -> float:
        return by_trial(trial)


@pytest.mark.parametrize(
    "objective",
    [
        by_trial,
        by_name,
        by_default,
        by_keywords,
        some_by_name,
        by_other_name,
        trial_and_keywords,
        Callable_(),
        Callable_().method,
        lambda x, kind: x,
        lambda trial: trial.params["x"],
    ],
    ids=lambda f: getattr(f, "__qualname__", "instance"),
)
def test_ways_to_take_a_trial(objective: Callable[..., float]) -> None:
    study = fresh(None).run(objective, trials=5)
    assert [trial.error for trial in study.trials] == [None] * 5
    assert all(trial.values == {"loss": trial.params["x"]} for trial in study.trials)


def test_a_parameter_named_trial_does_not_confuse() -> None:
    space = taut.Space(trial=taut.uniform(0, 1))
    study = fresh(None, space=space).run(lambda trial: trial.params["trial"], trials=2)
    assert states(study) == ["complete"] * 2


def test_conditional_parameters_need_a_default() -> None:
    space = taut.Space(kind=taut.choice(["a", "b"]), m=taut.uniform(0, 1, when="kind == 'b'"))
    with pytest.raises(taut.InputError, match="m"):
        fresh(None, space=space).run(lambda kind, m: 1.0, trials=9)
    study = fresh(None, space=space).run(lambda kind, m=-1.0: m, trials=9)
    assert set(states(study)) == {"complete"} and study.best.values == {"loss": -1.0}


class Odd:
    def __float__(self) -> float:
        raise RuntimeError("a Tensor with 2 elements cannot be converted to Scalar")


RETURNED: list[tuple[Any, str, str]] = [
    (0.5, "complete", ""),
    (1, "complete", ""),
    (True, "complete", ""),
    (np.float32(0.5), "complete", ""),
    (np.array(0.5), "complete", ""),
    ({"loss": 0.5}, "complete", ""),
    ({"loss": np.float64(0.5), "accuracy": np.int64(3)}, "complete", ""),
    ({"loss": 0.5, "speed": math.nan}, "complete", ""),
    (math.nan, "failed", "loss is nan"),
    (-math.inf, "failed", "loss is -inf"),
    ({"loss": np.inf}, "failed", "loss is inf"),
    (None, "failed", "no metric at all"),
    ({}, "failed", "no metric at all"),
    ({"los": 0.5}, "failed", "los; is one of them misspelt"),
    ((0.5, 0.7), "failed", "returned (0.5, 0.7)"),
    ([0.5], "complete", ""),
    ("0.5", "failed", "returned '0.5'"),
    ({"loss": None}, "failed", "not a number"),
    ({"loss": [0.5]}, "failed", "not a number"),
    ({"loss": 0.5, "note": "fine"}, "complete", ""),
    ({1: 0.5}, "failed", "it returned 1"),
    (1j, "failed", "not a number"),
    (np.array([0.5, 0.7]), "failed", "not a number"),
    (10**400, "failed", "not a number"),
    (Odd(), "failed", "not a number"),
    (object, "failed", "not a number"),
    (sys, "failed", "not a number"),
]


@pytest.mark.parametrize("result, state, text", RETURNED, ids=lambda value: f"{value!r:.20}")
def test_what_an_objective_returns(result: Any, state: str, text: str) -> None:
    study = fresh(None, retries=0).run(lambda trial: result, trials=2)
    assert states(study) == [state] * 2
    assert text in (study.trials[0].error or "")
    if state == "complete":
        assert study.best.values["loss"] in (0.5, 1.0)


def test_what_an_objective_returns_to_a_pool() -> None:
    """The same judgement, whether an objective runs here or in another process."""
    results = [result for result, *_ in RETURNED if result is not sys]

    def answer(trial: taut.Trial) -> Any:
        return results[trial.number]

    here = fresh(None).run(answer, trials=len(results))
    there = fresh(None).run(answer, trials=len(results), workers=2)

    def told(study: taut.Study) -> list[Any]:
        return [(trial.state, trial.values, trial.error, trial.attempts) for trial in study.trials]

    assert told(there) == told(here)


def raises(trial: taut.Trial) -> float:
    raise ValueError("the learning rate exploded")


def exits(trial: taut.Trial) -> float:
    sys.exit(3)


def reports_then_stops(trial: taut.Trial) -> None:
    trial.report(0, loss=3.0)
    raise taut.TrialPruned


def reports(trial: taut.Trial) -> None:
    trial.report(0, loss=3.0)
    trial.report(1, loss=2.0, speed=1.0)


def tells(trial: taut.Trial) -> None:
    trial.tell(loss=2.0)


def tells_and_returns(trial: taut.Trial) -> float:
    trial.tell(loss=2.0)
    return 5.0


def tells_and_raises(trial: taut.Trial) -> float:
    trial.tell(loss=2.0)
    raise ValueError


def reports_rubbish(trial: taut.Trial) -> float:
    trial.report(0, loss="high")  # type: ignore[arg-type]
    return 1.0


def reports_and_returns(trial: taut.Trial) -> dict[str, float]:
    trial.report(0, loss=3.0, speed=1.0)
    return {"loss": 2.0}


@pytest.mark.parametrize("workers", [1, 2])
def test_how_an_objective_ends(workers: int) -> None:
    cases: list[tuple[Callable[..., Any], str, dict[str, float], str]] = [
        (raises, "failed", {}, "ValueError: the learning rate exploded"),
        (exits, "failed", {}, "3"),
        (reports_then_stops, "pruned", {"loss": 3.0}, ""),
        (reports, "complete", {"loss": 2.0, "speed": 1.0}, ""),
        (tells, "complete", {"loss": 2.0}, ""),
        (tells_and_returns, "complete", {"loss": 2.0}, ""),
        (tells_and_raises, "complete", {"loss": 2.0}, ""),
        (reports_rubbish, "failed", {}, "loss = 'high'"),
        (reports_and_returns, "complete", {"loss": 2.0, "speed": 1.0}, ""),
    ]

    def objective(trial: taut.Trial) -> Any:
        return cases[trial.number][0](trial)

    try:
        study = fresh(None, retries=0).run(objective, trials=len(cases), workers=workers)
    except SystemExit:
        pytest.fail("sys.exit() in an objective ended the program that runs the study")
    for trial, (function, state, values, text) in zip(study.trials, cases, strict=True):
        assert (trial.state, trial.values, trial.attempts) == (state, values, 1), function.__name__
        assert text in (trial.error or ""), function.__name__
    error = study.trials[0].error or ""
    assert "Traceback" in error and "in raises" in error and "site-packages" not in error
    assert "executors" not in error  # our own frames tell the user nothing


def test_sigterm_ends_the_run_and_gives_the_trial_back(tmp_path: Path) -> None:
    def train(trial: taut.Trial) -> float:
        if trial.number:
            os.kill(os.getpid(), signal.SIGTERM)
            time.sleep(5)
        return 1.0

    study = fresh(tmp_path / "study")
    with pytest.raises(SystemExit) as ended:
        study.run(train, trials=4)
    assert ended.value.code == 143
    assert states(study) == ["complete", "waiting"] and study.trials[1].error == "it was interrupted"
    assert states(study.run(lambda trial: 1.0, trials=2)) == ["complete"] * 2


def test_an_objective_may_look_at_its_study(where: Path | None) -> None:
    study = fresh(where)

    def train(trial: taut.Trial) -> float:
        assert len(study.trials) == trial.number + 1
        assert trial.number == 0 or study.best.number < trial.number
        return 1.0

    study.run(train, trials=4)
    assert states(study) == ["complete"] * 4


def test_a_study_is_sent_to_other_processes_by_its_path_or_not_at_all(tmp_path: Path) -> None:
    study = fresh(tmp_path / "s", trials=3)
    study.tell(study.ask(), loss=0.25)
    copy = pickle.loads(pickle.dumps(study))
    assert copy.best == study.best
    copy.ask().tell(loss=0.5)  # with a log of its own
    assert states(study) == ["complete"] * 2 and good(tmp_path / "s")
    with pytest.raises((TypeError, taut.InputError)):
        pickle.dumps(fresh(None))


def test_a_trial_of_ours_that_nobody_tells_does_not_hang_the_run(where: Path | None) -> None:
    study = fresh(where)
    trial = study.ask()
    with within(10), pytest.raises(taut.StudyError, match="trial 0"):
        study.run(lambda trial: 1.0, trials=3)
    assert states(study) == ["running", "complete", "complete"]
    study.tell(trial, loss=1)
    study.run(lambda trial: 1.0, trials=3)
    assert states(study) == ["complete"] * 3


def test_what_a_closed_study_left_is_taken_over(tmp_path: Path) -> None:
    with fresh(tmp_path / "s", trials=4, retries=1) as study:
        study.ask(2)
    other = taut.Study(tmp_path / "s")
    with within(10):
        other.run(lambda trial: 1.0)
    assert states(other) == ["complete"] * 4 and other.trials[0].attempts == 2
    assert good(tmp_path / "s")


def test_a_closed_study_can_be_read(tmp_path: Path) -> None:
    study = fresh(tmp_path / "s", trials=4)
    trial = study.ask()
    study.close()
    study.close()
    assert states(study) == ["running"]
    with pytest.raises(taut.StudyError):
        study.tell(trial, loss=1.0)
    assert good(tmp_path / "s")


# -- work -----------------------------------------------------------------------------------------------


def test_the_loop_of_a_worker(where: Path | None) -> None:
    study = fresh(where, trials=6)
    told: list[Callable[[taut.Trial], Any]] = [
        lambda trial: trial.tell(loss=1.0),
        lambda trial: study.tell(trial, loss=1.0),
        lambda trial: study.tell(trial.number, loss=1.0),
        lambda trial: trial.report(1, loss=1.0),
        lambda trial: study.fail(trial.number, "no"),
        lambda trial: None,
    ]
    with within(10):
        for trial in study.work():
            told[trial.number](trial)
    assert states(study) == ["complete"] * 4 + ["failed"] * 2
    assert "no metric" in (study.trials[5].error or "")
    assert where is None or good(where)


def test_a_wrong_mode_of_work() -> None:
    with pytest.raises(taut.InputError, match="sequental"):
        next(fresh(None, trials=1).work(mode="sequental"))  # type: ignore[arg-type]
    for mode in ("async", "batch", "sequential"):
        assert len(list(fresh(None, trials=3).work(mode=mode))) == 3


def test_an_exception_in_the_loop_gives_the_trial_back_so_many_times(tmp_path: Path) -> None:
    path = tmp_path / "s"
    fresh(path, trials=2, retries=2)
    for attempt in range(3):
        with fresh(path, trials=2, retries=2) as study, pytest.raises(ZeroDivisionError):
            for trial in study.work():
                assert (trial.number, trial.attempt) == (0, attempt)
                _ = 1 / 0
        assert states(taut.Study(path)) == [["waiting"], ["waiting"], ["failed"]][attempt]
    study = taut.Study(path)
    for trial in study.work():
        assert trial.number == 1
        trial.tell(loss=1.0)
    assert "given up after 3 attempts" in (study.trials[0].error or "") and good(path)


def test_an_exception_after_the_trial_was_told_takes_nothing_back(where: Path | None) -> None:
    study = fresh(where, trials=3)
    for number in range(2):
        with pytest.raises(ZeroDivisionError):
            for trial in study.work():
                trial.tell(loss=1.0) if number else study.tell(trial.number, loss=1.0)
                _ = 1 / 0
    assert states(study) == ["complete"] * 2 and study.trials[0].attempts == 1


def test_a_loop_that_is_left_gives_its_trial_back(where: Path | None) -> None:
    study = fresh(where, trials=3)
    for trial in study.work():
        if trial.number == 1:
            break
        trial.tell(loss=1.0)
    assert states(study) == ["complete", "waiting"]
    assert [trial.number for trial in study.work() if trial.tell(loss=1.0) is None] == [1, 2]
    assert states(study) == ["complete"] * 3 and study.trials[1].attempts == 2


INTERRUPTED = """
    import os, signal, sys
    import taut
    study = taut.Study(sys.argv[1], taut.Space(x=taut.uniform(0, 1)), minimize="loss", trials=2, retries=1)
    for trial in study.work():
        os.kill(os.getpid(), signal.SIGINT)
        trial.tell(loss=1.0)
"""


def test_ctrl_c_in_the_loop_is_not_the_trials_fault(tmp_path: Path) -> None:
    path = tmp_path / "s"
    for _ in range(3):
        process = begin(script(tmp_path, INTERRUPTED), path)
        _, err = process.communicate(timeout=20)
        assert process.returncode in (1, 130, -signal.SIGINT) and err.rstrip().endswith("KeyboardInterrupt")
    study = taut.Study(path)
    assert states(study) == ["waiting"] and study.trials[0].attempts == 3
    study.run(lambda trial: 1.0)
    assert states(study) == ["complete"] * 2 and good(path)


def test_the_loop_leaves_the_handler_of_ctrl_c_as_it_was() -> None:
    before = signal.getsignal(signal.SIGINT)
    for trial in fresh(None, trials=2).work():
        trial.tell(loss=1.0)
    assert signal.getsignal(signal.SIGINT) is before
    for _ in fresh(None, trials=2).work():
        break
    assert signal.getsignal(signal.SIGINT) is before


# -- forks ----------------------------------------------------------------------------------------------

FORKED = """
    import os, sys
    import taut
    path, written = sys.argv[1], sys.argv[2] == "written"
    study = taut.Study(path, taut.Space(x=taut.uniform(0, 1)), minimize="loss", trials=20)
    if written:
        trials = study.ask(5)
        study.tell(trials[:4], loss=[1, 2, 3, 4])
    child = os.fork()
    if not child:
        if written:
            for step in (
                lambda: study.ask(),
                lambda: study.ask(3),
                lambda: next(study.work()),
                lambda: study.run(lambda trial: 1.0),
                lambda: study.tell(trials[4], loss=5),
                lambda: trials[4].report(1, loss=5),
            ):
                try:
                    step()
                except taut.StudyError as error:
                    assert "fork" in str(error), error
                else:
                    raise AssertionError("it wrote into its parent's log")
            assert len(study.trials) == 5 and study.best.number == 0  # looking is allowed
            study = taut.Study(path)  # opened again it works
        study.ask().tell(loss=0)  # before anybody wrote, parent and child are workers like any other
        sys.exit(0)  # with everything that runs at exit
    _, status = os.waitpid(child, 0)
    assert status == 0, status
    if written:
        study.tell(trials[4], loss=5)
    study.run(lambda trial: 1.0)
    print(len(study.trials))
"""


@pytest.mark.parametrize("kind", ["written", "fresh"])
def test_a_forked_child_cannot_write_into_its_parents_log(kind: str, tmp_path: Path) -> None:
    path = tmp_path / "s"
    process = begin(script(tmp_path, FORKED), path, kind)
    out, err = process.communicate(timeout=30)
    assert process.returncode == 0 and "Traceback" not in err and "Exception ignored" not in err, err
    assert out == "20\n" and good(path)
    assert states(taut.Study(path)) == ["complete"] * 20


# -- results --------------------------------------------------------------------------------------------


def tell_all(study: taut.Study, rows: list[dict[str, float]]) -> taut.Study:
    for row in rows:
        study.tell(study.ask(), **row)
    return study


def test_the_best_fulfils_the_constraints_and_the_first_of_equals_wins(where: Path | None) -> None:
    rows = [
        {"loss": 3.0, "gb": 1.0},
        {"loss": 1.0, "gb": 9.0},
        {"loss": 2.0, "gb": 4.0},
        {"loss": 2.0, "gb": 1.0},
    ]
    study = fresh(where, subject_to=["gb <= 4"])
    tell_all(study, rows[1:2])
    with pytest.raises(taut.StudyError, match=r"none of 1 complete.*gb <= 4"):
        _ = study.best
    tell_all(study, rows)
    study.fail(study.ask(), "no")
    assert study.best.number == 3 and study.ranking == [3, 4, 1]
    assert tell_all(fresh(None, maximize="gb", minimize=()), rows).best.number == 1


def test_the_front_of_several_objectives(where: Path | None) -> None:
    rows = [(1, 1), (2, 5), (3, 4), (2, 5), (0.5, 0), (3, 6), (0.5, -1)]
    study = fresh(where, maximize="speed", subject_to="loss < 3")
    tell_all(study, [{"loss": a, "speed": b} for a, b in rows])
    assert [trial.number for trial in study.pareto] == [4, 0, 1, 3]
    assert study.best.number == 4


tables = st.integers(1, 3).flatmap(
    lambda m: st.lists(st.lists(st.integers(-2, 2), min_size=m, max_size=m), min_size=1, max_size=12)
)


@given(tables)
def test_non_dominated_by_the_definition(rows: list[list[int]]) -> None:
    def beats(one: list[int], other: list[int]) -> bool:
        return all(a <= b for a, b in zip(one, other, strict=True)) and one != other

    expected = [not any(beats(other, row) for other in rows) for row in rows]
    assert non_dominated(np.array(rows, float)).tolist() == expected


def test_a_frame() -> None:
    study = fresh(None, trials=4, space=taut.Space(n=taut.uniform_int(1, 9), kind=taut.choice(["a", None])))
    study.tell(study.ask(), loss=1.0, speed=2)
    study.fail(study.ask(), "no")
    study.ask()
    frame = study.trials.to_frame()
    assert len(frame) == 3 and frame["number"].tolist() == [0, 1, 2]
    assert frame["state"].tolist() == ["complete", "failed", "running"]
    assert frame["params_n"].tolist() == [trial.params["n"] for trial in study.trials]
    assert frame["params_n"].dtype.kind == "i"
    assert frame["values_loss"][0] == 1.0 and frame["values_loss"].isna().tolist() == [False, True, True]
    assert frame["error"][1] == "no" and {"attempts", "worker", "started", "finished"} <= set(frame)
    assert len(study.trials[1:].to_frame()) == 2 and repr(study.trials) == "<3 trials>"


def test_it_says_what_it_is(tmp_path: Path) -> None:
    study = fresh(tmp_path / "s")
    assert "no trials yet" in repr(study) and str(tmp_path / "s") in repr(study)
    study.tell(study.ask(2)[0], loss=1)
    assert repr(study).endswith("1 running, 1 complete>") and "in memory" in repr(fresh(None))


def test_damaged_lines_are_a_warning(tmp_path: Path) -> None:
    path = tmp_path / "s"
    with fresh(path, trials=2) as study:
        study.run(lambda trial: 1.0)
    log = path / "log" / "0000.jsonl"
    lines = log.read_bytes().split(b"\n")
    lines[2] = lines[2].replace(b'"t":', b'"T":')
    log.write_bytes(b"\n".join(lines))
    with pytest.warns(UserWarning, match=r"0000.jsonl:3.*checksum.*skipped"):
        taut.Study(path).run(lambda trial: 1.0, trials=4)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        assert len(taut.Study(path).trials) >= 4


# -- any sequence of calls ------------------------------------------------------------------------------

steps = st.lists(
    st.sampled_from(
        ["ask", "ask3", "tell", "tell2", "fail", "run", "work", "reopen", "other", "look", "more"]
    ),
    max_size=25,
)


@settings(max_examples=40, deadline=None)
@given(steps, st.booleans())
def test_any_sequence_of_calls_keeps_the_count(steps: list[str], disk: bool) -> None:
    with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings():
        warnings.simplefilter("error")
        path = Path(folder) / "s" if disk else None
        limit = 12
        studies = [fresh(path, trials=limit)]
        pending: list[tuple[taut.Study, taut.Trial]] = []
        told: dict[int, float] = {}
        for i, step in enumerate(steps):
            study = studies[-1]
            if step == "ask" or step == "ask3":
                try:
                    got = study.ask(3) if step == "ask3" else [study.ask()]
                    pending += [(study, trial) for trial in got]
                except taut.StudyError:
                    assert len(told) + len(pending) >= limit or not disk
            elif step in ("tell", "fail") and pending:
                owner, trial = pending.pop(0)
                told[trial.number] = float(i)
                owner.fail(trial, "no") if step == "fail" else owner.tell(trial, loss=float(i))
            elif step == "tell2" and len(pending) > 1 and pending[-1][0] is pending[-2][0]:
                (owner, one), (_, two) = pending.pop(), pending.pop()
                owner.tell([one, two], loss=[float(i), float(i)])
                told |= {one.number: float(i), two.number: float(i)}
            elif step == "run" and not pending:
                for n in range(len(told), limit):
                    told[n] = 0.5
                study.run(lambda trial: 0.5)
            elif step == "work" and not pending:
                for trial in study.work():
                    told[trial.number] = float(i)
                    trial.tell(loss=float(i))
                    if trial.number % 2:
                        break
            elif step == "reopen" and disk and not pending:
                study.close()
                studies.append(fresh(path, trials=limit))
            elif step == "other" and disk:
                studies.append(fresh(path, trials=limit))
            elif step == "more" and limit < 30 and (told or pending):
                limit += 5
                study.budget(limit)
            for each in studies:
                assert {t.number for t in each.trials if t.finished} == set(told)
        numbers = [trial.number for _, trial in pending]
        assert len(set(numbers)) == len(numbers) and not set(numbers) & set(told)
        assert len(told) + len(pending) <= limit
        for study in studies:
            study.close()
        assert not disk or not (path / "log").exists() or good(path)  # type: ignore[operator]
