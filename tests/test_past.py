"""Warm starts: earlier studies are read once, frozen into the new one, and offered to its sampler."""

from __future__ import annotations

import shutil
import subprocess
import sys
import warnings
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest

import following
import taut
from processes import begin, output, script
from taut import earlier
from taut.definition import Definition, Earlier, Objective
from taut.errors import InputError, StudyError
from taut.opening import make_proposals
from taut.past import Content, Kept, Past, Recoded
from taut.samplers import registry
from taut.study import Study
from taut.trial import State
from taut.verify import verify

SPACE = taut.Space(
    x=taut.uniform(-2.0, 2.0),
    rate=taut.loguniform(1e-4, 1e-1),
    kind=taut.choice(["a", "b"]),
    depth=taut.uniform_int(1, 6, when="kind == 'b'"),
)


@pytest.fixture(autouse=True)
def here(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Path]:
    """An empty current directory, and the sampler that follows earlier studies."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setitem(registry._BUILT_IN, "follow", following.TARGET["follow"])
    yield tmp_path


def loss(params: Mapping[str, Any]) -> float:
    return float((params["x"] - 1.0) ** 2 + abs(np.log10(params["rate"]) + 2))


def finish(study: Study, count: int) -> None:
    """Tell `count` more trials; every seventh fails."""
    for trial in study.ask(count):
        if trial.number % 7 == 3:
            study.fail(trial, "no memory left")
        else:
            study.tell(trial, loss=loss(trial.params), size=trial.params["x"])


def old(path: str = "old", count: int = 30, space: taut.Space = SPACE, **options: Any) -> Study:
    options = {"minimize": "loss", "subject_to": "size <= 1.5", "seed": 5, **options}
    study = taut.Study(path, space, **options)
    finish(study, count)
    return study


def new(path: str | None = "new", warm_start: Any = "old", **options: Any) -> Study:
    options = {"minimize": "loss", "sampler": "follow", **options}
    return taut.Study(path, options.pop("space", SPACE), warm_start=warm_start, **options)


def proven(path: str | Path) -> int:
    """The suggestions of a study that were derived again, all the same."""
    found = verify(Path(path), make_proposals)
    assert found.good and not found.differences, found
    return found.suggestions


def listing(folder: Path) -> list[tuple[str, int]]:
    return sorted((str(path), path.lstat().st_mtime_ns) for path in folder.rglob("*"))


# ------------------------------------------------------------------ what is read


def test_a_sampler_sees_the_trials_of_an_earlier_study() -> None:
    study = old()
    study.ask(2)  # what still runs is of no use
    (past,) = new().snapshot.past
    snapshot = study.snapshot
    ended = np.flatnonzero(np.isin(snapshot.state, [State.COMPLETE, State.FAILED]))
    assert past.name == "old" and past.space == SPACE and len(past) == 30
    assert past.number.tolist() == ended.tolist()
    np.testing.assert_array_equal(past.codes, snapshot.codes[ended])
    failed = snapshot.state[ended] == State.FAILED
    assert failed.sum() == 4 and (past.failed == failed).all() and (np.isnan(past.loss) == failed).all()
    np.testing.assert_array_equal(past.loss, snapshot.values("loss")[ended])
    assert set(past.number[past.good].tolist()) == set(study.ranking)
    assert 0 < past.good.sum() < 26  # some break the constraint
    for array in (past.codes, past.loss, past.values["loss"]):
        with pytest.raises(ValueError, match="read-only"):
            array[:] = 0.0


def test_a_loss_points_the_way_of_the_new_study_whatever_else_was_measured() -> None:
    study = taut.Study("old", SPACE, minimize="cost", maximize="score")
    study.tell(study.ask(3), cost=[1.0, 2.0, 3.0], score=[7.0, 9.0, 8.0])
    (past,) = taut.Study(None, SPACE, maximize=["score", "speed"], warm_start=["old"]).snapshot.past
    assert past.loss.tolist() == [-7.0, -9.0, -8.0]
    assert {name: column.tolist() for name, column in past.values.items()} == {
        "cost": [1.0, 2.0, 3.0],
        "score": [7.0, 9.0, 8.0],
    }


def test_an_extended_space_is_the_one_that_counts() -> None:
    old(count=5)
    wider = taut.Space({**SPACE.parameters, "kind": taut.choice(["c", "b", "a"])})
    finish(taut.Study("old", wider), 5)
    (past,) = new().snapshot.past
    assert past.space == wider
    assert past.space.params(past.codes) == [trial.params for trial in taut.Study("old").trials]


def test_of_very_many_trials_the_best_and_the_newest_are_kept() -> None:
    study = taut.Study("old", taut.Space(x=taut.uniform(0.0, 1.0)), minimize="loss", subject_to="size <= 1")
    trials = study.ask(2500)
    values = np.random.default_rng(1).permutation(2500).astype(float)
    sizes = np.where(values < 10, 2.0, 1.0)  # the very best break the constraint
    study.tell(trials, loss=values, size=sizes)
    wanted = new(space=taut.Space(x=taut.uniform(0.0, 1.0)))
    (past,) = wanted.snapshot.past
    assert len(past) == earlier.MOST == 2000
    best = np.flatnonzero((values >= 10) & (values < 1010))
    others = np.setdiff1d(np.arange(2500), best)[-1000:]
    assert past.number.tolist() == sorted([*best, *others])
    (source,) = wanted.definition.warm_start
    assert source.summary == "old (2000 complete trials: the best and the newest of 2500)"


def test_summaries() -> None:
    assert Earlier("a", complete=1).summary == "a (1 complete trial)"
    assert Earlier("a", complete=5, failed=2).summary == "a (5 complete trials, 2 failed)"
    assert Earlier("a", failed=2).summary == "a (no complete trial to learn from, 2 failed)"
    assert (
        Earlier("a", complete=5, failed=2, left_out=3).summary
        == "a (5 complete trials, 2 failed: the best and the newest of 10)"
    )


# ------------------------------------------------------------------ frozen


def test_what_was_read_stays_as_it_was() -> None:
    study = old()
    first = new()
    finish(first, 3)
    finish(study, 30)
    again = new()
    assert len(again.snapshot.past[0]) == 30
    finish(again, 3)
    assert len(again.store.snapshot.revisions) == 1
    assert proven("new") == 6


def test_nothing_is_missed_when_the_earlier_study_is_gone(here: Path) -> None:
    old()
    study = new()
    finish(study, 4)
    shutil.rmtree("old")
    for opened in (taut.Study("new"), new(), new(trials=50)):  # named again, or not
        assert len(opened.snapshot.past[0]) == 30
        finish(opened, 2)
        opened.close()
    assert proven("new") == 10
    (here / "elsewhere").mkdir()
    shutil.move("new", "elsewhere/moved")
    finish(taut.Study("elsewhere/moved"), 2)
    assert proven("elsewhere/moved") == 12


def test_suggestions_depend_on_it() -> None:
    """Otherwise the replays on this page would prove nothing."""
    old()
    warm, cold = new(None), new(None, None)
    assert warm.ask().params != cold.ask().params
    (past,) = warm.snapshot.past
    best = past.codes[past.good][np.argmin(past.loss[past.good])]
    proposed = SPACE.encode(warm.snapshot.codes)
    assert np.abs(proposed[0, 0] - SPACE.encode(best[None])[0, 0]) < 0.5


def test_another_process_reads_it() -> None:
    old()
    study = new(trials=24)
    study.tell(study.ask(), loss=1.0)
    shutil.rmtree("old")
    program = script(
        Path(),
        """
        import sys
        import following, taut
        following.register()
        with taut.Study(sys.argv[1]) as study:
            for trial in study.work():
                trial.tell(loss=trial.params["x"] ** 2)
            print(len(study.snapshot.past[0]), study.snapshot.past[0].loss[0])
        """,
    )
    said = [output(worker) for worker in [begin(program, "new") for _ in range(2)]]
    past = study.snapshot.past[0]
    assert said == [f"{len(past)} {past.loss[0]}\n"] * 2
    assert proven("new") == 24


def test_a_study_in_memory_keeps_it_too() -> None:
    old()
    study = new(None)
    shutil.rmtree("old")
    finish(study, 3)
    assert len(study.snapshot.past[0]) == 30


def test_a_sampler_that_does_not_look_at_it_is_a_warning() -> None:
    old()
    with pytest.warns(UserWarning, match="random does not learn from earlier studies"):
        finish(new(sampler="random"), 2)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        taut.Study("new")  # it was said to whoever gave it
        new("other")
        new("default", sampler=None)


def test_it_is_read_only_when_somebody_asks() -> None:
    old()
    study = new(sampler="random")
    finish(study, 3)
    (kept,) = Path("new/definition").glob("past-*.json")
    kept.unlink()
    finish(taut.Study("new"), 3)
    with pytest.raises(StudyError, match=r"past-\w+\.json is missing; it holds what this study knows of an"):
        _ = taut.Study("new").snapshot.past


def test_a_study_without_earlier_ones_pays_nothing() -> None:
    program = (
        "import sys, taut\n"
        "study = taut.Study('s', taut.Space(x=taut.uniform(0, 1)), minimize='loss')\n"
        "study.tell(study.ask(), loss=1.0)\n"
        "assert study.snapshot.past == ()\n"
        "assert not {'taut.earlier', 'taut.studyfile'} & set(sys.modules)\n"
    )
    source = Path(taut.__file__).parents[1]
    subprocess.run([sys.executable, "-c", program], check=True, env={"PYTHONPATH": str(source)})


@pytest.mark.parametrize("harm", ["missing", "damaged"])
def test_verify_finds_what_is_missing_or_damaged(harm: str) -> None:
    old()
    finish(new(sampler="random"), 3)
    (kept,) = Path("new/definition").glob("past-*.json")
    if harm == "missing":
        kept.unlink()
    else:
        kept.write_bytes(kept.read_bytes().replace(b'"n":3', b'"n":4'))
    with pytest.raises(StudyError, match=harm):
        verify(Path("new"), make_proposals)


# ------------------------------------------------------------------ changes


def test_an_earlier_study_may_be_named_later_and_taken_out_again() -> None:
    old()
    finish(new(warm_start=None), 3)
    with new() as study:
        assert len(study.store.snapshot.revisions) == 2
        finish(study, 3)
    with new(warm_start=[]) as study:
        assert study.snapshot.past == () and len(study.store.snapshot.revisions) == 3
        finish(study, 3)
    assert proven("new") == 9


def test_a_running_worker_takes_over_what_is_named_elsewhere() -> None:
    old()
    running = new(warm_start=None)
    finish(running, 2)
    finish(new(), 1)
    finish(running, 2)
    assert len(running.snapshot.past[0]) == 30
    assert proven("new") == 5


def test_two_that_create_a_study_at_once_have_read_the_same() -> None:
    """The earlier study goes on meanwhile: what the first has read holds for both."""
    study = old()
    first = new()
    finish(study, 10)
    second = new()
    assert [len(each.store.snapshot.past[0]) for each in (first, second)] == [30, 40]
    finish(first, 2)
    finish(second, 2)
    assert len(second.snapshot.past[0]) == 30
    assert proven("new") == 4
    with pytest.raises(StudyError, match="has just created a different study here"):
        other = taut.Study("late", SPACE, minimize="loss", warm_start="old")
        finish(new("late", "old"), 1)
        other.ask()


def test_several_and_in_a_circle() -> None:
    old("a", 10, warm_start=None)
    finish(new("b", ["a"]), 5)
    finish(taut.Study("a", warm_start=["b"]), 5)
    study = new("c", ["b", Path("a")])
    assert [len(past) for past in study.snapshot.past] == [5, 15]
    finish(study, 4)
    assert proven("a") == 15 and proven("b") == 5 and proven("c") == 4


def test_looking_leaves_no_trace(here: Path) -> None:
    old()
    before = listing(here)
    study = new()
    assert len(study.store.snapshot.past) == 1
    assert listing(here) == before
    finish(study, 1)
    study.close()
    taut.Study("new", warm_start=[])
    definition = msgspec.structs.replace(
        study.definition, warm_start=[Earlier("again", place=str(here / "old"))]
    )
    before = listing(here)
    held = Study.of(Path("new"), definition, hold=True)
    assert len(held.store.snapshot.past[0]) == 30
    assert listing(here) == before
    held.store.save()
    assert [each.study for each in taut.Study("new").definition.warm_start] == ["again"]
    assert proven("new") == 1


def test_definitions_from_before_can_be_read() -> None:
    data = msgspec.json.decode(Definition("s", SPACE.to_json(), [Objective("loss")]).to_json())
    del data["warm_start"]
    assert Definition.from_json(msgspec.json.encode(data)).warm_start == []


# ------------------------------------------------------------------ a study.toml


def write(text: str, name: str) -> Path:
    path = Path(name)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


TOML = """\
command = "true {args}"
minimize = "loss"
[space]
x = { uniform = [-2.0, 2.0] }
"""


@pytest.mark.parametrize("name", ["work/first.toml", "work/runs/first/study.toml", "work/runs/first"])
def test_a_study_may_be_named_by_its_file(name: str) -> None:
    write(TOML, "work/first.toml")
    old("work/runs/first")
    write(TOML, "work/runs/first/study.toml")
    assert len(new(warm_start=name).snapshot.past[0]) == 30


# ------------------------------------------------------------------ errors

NUMBERS = taut.Space(a=taut.uniform(0.0, 1.0), b=taut.uniform_int(1, 3))
WRONG: list[tuple[Any, str]] = [
    (
        "nowhere",
        "warm_start: 'nowhere' is no study: HERE/nowhere holds none; give the directory of an earlier study, "
        "or its study.toml",
    ),
    (
        ["old", "empty"],
        "warm_start.1: 'empty' is no study: HERE/empty holds none; give the directory of an earlier study, "
        "or its study.toml",
    ),
    (
        "notes.txt",
        "warm_start: 'notes.txt' is no study: HERE/notes.txt holds none; give the directory of an earlier study, "
        "or its study.toml",
    ),
    (
        "wrong.toml",
        "warm_start: HERE/wrong.toml:2: not valid TOML: invalid value; a value is text between quotes, a number, "
        "true, false, [ a list ] or { a table }; write one",
    ),
    (
        "accuracy",
        "warm_start: 'accuracy' is there to minimize time and maximize accuracy, and this study to minimize loss; "
        "it learns only from studies with that metric and direction: name another, or none",
    ),
    (
        "up",
        "warm_start: 'up' is there to maximize loss, and this study to minimize loss; "
        "it learns only from studies with that metric and direction: name another, or none",
    ),
    (
        "numbers",
        "warm_start: 'numbers' tunes a, b, and this study x, rate, kind, depth; "
        "it learns only about parameters of the same names: name another study, or none",
    ),
    (["old", "./old"], "warm_start.1: './old' holds the same trials as 'old'; name each study once"),
    (3, "warm_start: 3 names no study; give its directory, or a list of directories"),
    (["old", 3], "warm_start: 3 names no study; give the directory of an earlier one, or its study.toml"),
    ("", "warm_start: '' names no study; give the directory of an earlier one, or its study.toml"),
    (b"old", "warm_start: b'old' names no study; give its directory, or a list of directories"),
]


@pytest.mark.parametrize(("given", "message"), WRONG, ids=[str(given) for given, _ in WRONG])
def test_errors_teach_and_leave_no_trace(here: Path, given: Any, message: str) -> None:
    old()
    Path("empty").mkdir()
    write("x", "notes.txt")
    write("a = 1\nb =\n", "wrong.toml")
    accuracy = taut.Study("accuracy", SPACE, maximize="accuracy", minimize="time")
    for study in (
        accuracy,
        taut.Study("up", SPACE, maximize="loss"),
        taut.Study("numbers", NUMBERS, minimize="loss"),
    ):
        study.ask()
    before = listing(here)
    with pytest.raises(InputError) as error:
        new(warm_start=given)
    assert str(error.value).replace(str(here), "HERE") == message
    assert listing(here) == before


def test_a_study_cannot_name_itself(here: Path) -> None:
    old()
    before = listing(here)
    Path("link").symlink_to("old")
    for name in ("old", "link", here / "old"):
        with pytest.raises(InputError, match="is this study itself; name an earlier one, or none"):
            taut.Study("old", warm_start=name)
    Path("link").unlink()
    assert listing(here) == before


def test_a_study_that_is_gone_and_named_otherwise_is_recognised_in_words(here: Path) -> None:
    old()
    finish(new(), 1)
    shutil.rmtree("old")
    with pytest.raises(InputError, match=r"; what is known already goes by the name 'old'$"):
        new(warm_start=here / "old")


def test_a_study_without_a_complete_trial_is_a_warning() -> None:
    study = taut.Study("old", SPACE, minimize="loss")
    study.fail(study.ask(), "no")
    with pytest.warns(UserWarning, match="^old has no complete trial, so there is nothing to learn from it"):
        warm = new()
    assert warm.snapshot.past[0].failed.tolist() == [True]
    finish(warm, 2)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        taut.Study("new")
    assert proven("new") == 2


# ------------------------------------------------------------------ other spaces


def past_of(space: taut.Space, *params: dict[str, Any]) -> Past:
    """An earlier study with these trials."""
    trials = [Kept(n, x, [float(n)]) for n, x in enumerate(params)]
    content = Content("old", space.to_json(), [Objective("loss")], trials)
    return Past.of(Content.from_json(content.to_json()), Objective("loss"))


def moved(before: Any, values: list[Any], after: Any) -> Recoded:
    """Values of a parameter `p`, beside one that both spaces have, where `p` is defined as `after`."""
    same = taut.uniform(0.0, 1.0)
    trials = [{"same": 0.5, "p": value} for value in values]
    return past_of(taut.Space(p=before, same=same), *trials).recoded(taut.Space(same=same, p=after))


GONE = None  # a value that the new parameter cannot take
CASES: dict[str, tuple[Any, list[Any], Any, list[Any]]] = {
    "the same": (taut.uniform(0, 1), [0.0, 0.3, 1.0], taut.uniform(0, 1), [0.0, 0.3, 1.0]),
    "narrower": (taut.uniform(0, 1), [0.1, 0.5, 0.9], taut.uniform(0.5, 0.8), [GONE, 0.5, GONE]),
    "wider": (taut.loguniform(1e-3, 1), [1e-3, 1.0], taut.loguniform(1e-5, 10), [1e-3, 1.0]),
    "another scale": (taut.uniform(0, 1), [0.0, 0.1], taut.loguniform(1e-3, 1), [GONE, 0.1]),
    "a normal prior": (taut.normal(0, 1), [-1.5, 0.25], taut.uniform(-1, 1), [GONE, 0.25]),
    "whole to real": (taut.uniform_int(1, 8), [1, 8], taut.uniform(0, 5), [1.0, GONE]),
    "real to whole": (taut.uniform(0, 9), [0.2, 3.6, 8.0], taut.loguniform_int(1, 8), [GONE, 4, 8]),
    "huge whole": (taut.uniform_int(0, 2**53), [2**53 - 1], taut.uniform_int(0, 2**53), [2**53 - 1]),
    "real to steps": (taut.uniform(0, 1), [0.12, 0.3], taut.uniform(0, 1, step=0.1), [0.1, 0.3]),
    "whole to steps": (taut.uniform_int(0, 9), [0, 5, 9], taut.uniform_int(1, 9, step=4), [GONE, 5, 9]),
    "choices": (taut.choice(["a", "b", "c"]), ["a", "b", "c"], taut.choice(["c", "a"]), ["a", GONE, "c"]),
    "order": (taut.ordinal([8, 16, 32]), [8, 16, 32], taut.ordinal([16, 32, 64]), [GONE, 16, 32]),
    "kinds of lists": (taut.choice([8, 16]), [8, 16], taut.ordinal([4, 8, 16]), [8, 16]),
    "listed to real": (taut.ordinal([0.1, 0.5]), [0.1, 0.5], taut.uniform(0.2, 1), [GONE, 0.5]),
    "real to listed": (taut.uniform(0, 9), [8.0, 8.5], taut.ordinal([4, 8]), [8, GONE]),
    "whole to listed": (taut.uniform_int(1, 9), [4, 5], taut.choice([4, 8]), [4, GONE]),
    "exact before equal": (
        taut.choice([1, 1.0, True]),
        [1, 1.0, True],
        taut.choice([1.0, 1]),
        [1, 1.0, GONE],
    ),
    "truth is no number": (taut.choice([True, 2]), [True, 2], taut.uniform_int(1, 2), [GONE, 2]),
    "lists": (taut.choice([[1, 2], [3]]), [[1, 2], [3]], taut.choice([[3], "x"]), [GONE, [3]]),
    "nothing fits": (taut.choice(["a", "b"]), ["a", "b"], taut.uniform(0, 1), [GONE, GONE]),
    "no number": (taut.choice(["a", 0.5, None]), ["a", 0.5, None], taut.uniform(0, 1), [GONE, 0.5, GONE]),
}


@pytest.mark.parametrize(("before", "values", "after", "expected"), CASES.values(), ids=list(CASES))
def test_values_in_another_space(before: Any, values: list[Any], after: Any, expected: list[Any]) -> None:
    found = moved(before, values, after)
    codes = [np.nan if value is GONE else after.code(value) for value in expected]
    np.testing.assert_array_equal(found.codes[:, 1], codes)
    np.testing.assert_array_equal(found.codes[:, 0], 0.5)
    if all(value is GONE for value in expected):  # as good as a new parameter
        assert found.shared.tolist() == [True, False] and found.usable.all()
    else:
        assert found.shared.all()
        assert found.usable.tolist() == [value is not GONE for value in expected]


def test_parameters_that_are_new_or_gone() -> None:
    past = past_of(taut.Space(a=taut.uniform(0, 1), gone=taut.uniform(0, 1)), {"a": 0.25, "gone": 0.5})
    space = taut.Space(fresh=taut.uniform(0, 1), a=taut.uniform(0, 1))
    found = past.recoded(space)
    np.testing.assert_array_equal(found.codes, [[np.nan, 0.25]])
    assert found.shared.tolist() == [False, True] and found.usable.tolist() == [True]
    assert past.recoded(taut.Space({**space.parameters})) is found  # worked out once
    nothing = past.recoded(taut.Space(a=taut.uniform(2, 3)))
    assert not nothing.shared.any() and not nothing.usable.any()


def test_conditions_of_the_new_space_count() -> None:
    kind, depth = taut.choice(["a", "b"]), taut.uniform_int(1, 6)
    always = taut.Space(kind=kind, depth=depth)
    only_b = taut.Space(kind=kind, depth=taut.uniform_int(1, 6, when="kind == 'b'"))
    past = past_of(always, {"kind": "a", "depth": 2}, {"kind": "b", "depth": 3})
    np.testing.assert_array_equal(past.recoded(only_b).codes, [[0, np.nan], [1, 3]])
    assert past.recoded(only_b).usable.all()
    past = past_of(only_b, {"kind": "a"}, {"kind": "b", "depth": 3})
    np.testing.assert_array_equal(past.recoded(always).codes, [[0, np.nan], [1, 3]])
    assert past.recoded(always).usable.tolist() == [
        False,
        True,
    ]  # the first lacks a depth, which all need now


def test_what_followed_may_be_searched_now_and_the_other_way_round() -> None:
    a, double = taut.uniform_int(1, 4), taut.uniform_int(2, 6)
    before = taut.Space(a=a, b=taut.expr("2 * a"))
    found = past_of(before, {"a": 1}, {"a": 4}).recoded(taut.Space(b=double, a=a))
    np.testing.assert_array_equal(found.codes, [[2, 1], [np.nan, 4]])
    assert found.usable.tolist() == [True, False]
    found = past_of(taut.Space(a=a, b=double), {"a": 1, "b": 5}).recoded(before)
    np.testing.assert_array_equal(found.codes, [[1]])


def test_an_earlier_study_without_trials_has_empty_arrays() -> None:
    past = past_of(SPACE)
    assert past.codes.shape == (0, 4) and past.loss.shape == past.values["loss"].shape == (0,)
    found = past.recoded(taut.Space(x=taut.uniform(0, 1)))
    assert found.codes.shape == (0, 1) and not found.shared.any() and found.usable.shape == (0,)
