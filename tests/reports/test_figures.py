"""The data behind each figure against numbers worked out by hand, and that Plotly takes every figure there can be."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from courses import SPACE, T, definition, ended, fold, opened, random_study, started, told, trial

import taut
from taut.definition import Objective
from taut.errors import InputError
from taut.events import Finished
from taut.fidelity import Fidelity
from taut.pruners.halving import AshaPruner
from taut.reports import contours, front, history, importance, learning, parallel, slices, style
from taut.reports.failures import failures, interruptions
from taut.reports.points import Points, axes_of, thinned
from taut.reports.table import table
from taut.snapshot import Snapshot

graph = pytest.importorskip("plotly.graph_objects")

EPOCHS = Fidelity("epoch", max=9.0)
NASTY = '<script>alert("1")</script> & <a href="javascript:alert(1)">x</a>'


def several(subject_to: list[str] | None = None) -> Snapshot:
    """Losses 3, 1, 2 and a failed trial; the second ended last."""
    events = [opened(0), *trial(0, 0, 10, loss=3.0), *trial(1, 1, 40, loss=1.0), *trial(2, 2, 30, loss=2.0)]
    of = definition(subject_to=subject_to or [])
    return fold([*events, *trial(3, 3, 35, "failed")], of=of)


def test_points_are_the_trials_with_a_value() -> None:
    points = Points.of(several())
    assert points.number.tolist() == [0, 1, 2]
    assert points.value.tolist() == points.loss.tolist() == [3, 1, 2]


def test_a_trial_that_ended_early_counts_with_what_it_reported_last() -> None:
    events = [opened(0), started(0, 0), told(0, 1, 2, 5.0), told(0, 2, 3, 4.0)]
    events.append(Finished(n=0, a=0, state="pruned", y={}, t=T + 4))
    points = Points.of(fold(events, of=definition(fidelity=EPOCHS)))
    assert (points.value.tolist(), points.whole.tolist()) == ([4.0], [False])


def test_the_best_so_far_follows_the_order_in_which_trials_ended() -> None:
    data = history.history(several())
    assert data.points.number.tolist() == [0, 2, 1]
    assert data.steps.tolist() == [0, 1, 2] and data.best.tolist() == [3, 2, 1]
    assert data.ended.tolist() == [1, 2, 3]
    assert data.hours * 3600 == pytest.approx([10, 30, 40])


def test_a_trial_that_breaks_a_constraint_is_never_the_best() -> None:
    data = history.history(several(["loss >= 2"]))
    assert data.best.tolist() == [3, 2]
    names = [trace["name"] for trace in history.figure(data)["data"]]
    assert "breaks a constraint" in names


def test_maximizing_turns_the_best_around() -> None:
    events = [opened(0), *trial(0, 0, 1, loss=1.0), *trial(1, 1, 2, loss=5.0), *trial(2, 2, 3, loss=3.0)]
    of = definition(objectives=[Objective("loss", minimize=False)])
    assert history.history(fold(events, of=of)).best.tolist() == [1, 5]


def test_axes_know_logarithms_levels_and_who_has_no_value() -> None:
    snapshot = fold([opened(0), *trial(0, 0, 1), *trial(1, 1, 2, optim="sgd", momentum=0.5)])
    axes = {axis.name: axis for axis in axes_of(snapshot, np.array([0, 1]))}
    assert axes["lr"].log and not axes["layers"].log and axes["layers"].whole
    assert axes["optim"].labels == ("adam", "sgd") and axes["optim"].at.tolist() == [0, 1]
    assert math.isnan(axes["momentum"].at[0]) and axes["momentum"].at[1] == 0.5
    assert axes["lr"].unit.tolist() == pytest.approx([0.5, 0.5])
    form = parallel.figure(parallel.parallel(snapshot))
    momentum = next(each for each in form["data"][0]["dimensions"] if each["label"] == "momentum")
    assert momentum["values"][0] < 0 and momentum["ticktext"][0] == "not there"


def test_of_many_the_best_are_kept_and_the_rest_evenly() -> None:
    loss = np.random.default_rng(0).permutation(10_000).astype(float)
    rows = thinned(loss, 100)
    assert len(rows) == 100 and (np.diff(rows) > 0).all()
    assert set(np.flatnonzero(loss < 50)) <= set(rows.tolist())
    assert np.abs(np.histogram(rows, 4, (0, 10_000))[0] - 25).max() < 12
    assert thinned(loss[:7], 100).tolist() == list(range(7))


def test_far_outliers_do_not_hide_the_others() -> None:
    loss = np.array([1.0, 1.1, 1.2, 1.3, 1.4, 1.5, 1.6, 1.7, 1.8, 1.9, 1.95, 1e9])
    assert style.reach(loss) == (1.0, 1.95)
    side = style.upright(loss, Objective("loss"))
    assert side["title"]["text"] == "loss (1 lies above)" and side["range"][1] < 3
    assert "range" not in style.upright(loss[:-1], Objective("loss"))
    turned = style.upright(loss, Objective("gain", minimize=False))
    assert turned["range"][0] > -3 and "below" in turned["title"]["text"]


def test_ranks_do_not_depend_on_the_scale() -> None:
    assert style.ranks(np.array([3.0, 1.0, 1e6, 3.0])).tolist() == pytest.approx([1 / 3, 0, 1, 1 / 3])
    assert style.ranks(np.array([2.0])).tolist() == [0]


def test_a_surface_is_low_where_trials_are_good_and_blank_where_none_are() -> None:
    study = random_study(150)
    data = contours.contour(study.snapshot, "lr", "layers")
    there = np.nanmean(np.where(np.abs(np.log10(data.xs) + 3) < 0.5, data.surface, np.nan))
    elsewhere = np.nanmean(np.where(np.abs(np.log10(data.xs) + 3) > 1.5, data.surface, np.nan))
    assert there < 0.35 and elsewhere > 0.6
    few = contours.contour(random_study(12).snapshot, "lr", "momentum")
    assert np.isnan(few.surface).any()


def test_curves_name_rungs_and_the_best() -> None:
    events = [opened(0)]
    for n, last in ((0, 9), (1, 3)):
        events += [started(n, 0), *(told(n, e, e, 1.0 / e + n) for e in range(1, last + 1))]
    events += [ended(0, 10, loss=0.2), Finished(n=1, a=0, state="pruned", y={}, t=T + 4)]
    snapshot = fold(events, of=definition(fidelity=EPOCHS))
    data = learning.learning(snapshot, pruner=AshaPruner())
    assert data.rungs == [1, 3, 9] and data.best == 0 and data.unit == "epoch"
    assert [(curve.number, len(curve.step)) for curve in data.curves] == [(0, 9), (1, 3)]
    assert [shape["x0"] for shape in learning.figure(data)["layout"]["shapes"]] == [1, 3, 9]


def test_the_front_and_what_lies_behind() -> None:
    of = definition(objectives=[Objective("loss"), Objective("speed", minimize=False)])
    values = ((1.0, 1.0), (2.0, 5.0), (3.0, 4.0))
    events = [
        each
        for n, (loss, speed) in enumerate(values)
        for each in (started(n, n), ended(n, n + 1, loss=loss, speed=speed))
    ]
    data = front.pareto(fold([opened(0), *events], of=of))
    assert data.number.tolist() == [0, 1] and data.values.tolist() == [[1, 1], [2, 5]]
    assert data.others.tolist() == [2] and data.behind.tolist() == [[3, 4]]


def test_failures_that_differ_in_numbers_are_one_group() -> None:
    events = [opened(0)]
    for n in range(5):
        error = (
            f"Traceback ...\nOutOfMemoryError: tried to allocate {n}.5 GiB at 0x{n}af"
            if n < 4
            else "KeyError: 'x'"
        )
        events += [started(n, n), Finished(n=n, a=0, state="failed", y={}, t=T + n + 1, error=error)]
    first, second = failures(fold(events))
    assert (
        first.trials == [0, 1, 2, 3]
        and first.reason == "OutOfMemoryError: tried to allocate 0.5 GiB at 0x0af"
    )
    assert first.example.startswith("Traceback") and second.trials == [4]


def test_lost_attempts_are_told_and_pauses_are_not() -> None:
    from courses import left

    snapshot = fold(
        [opened(0), started(0, 0), left(0, 1), started(1, 0), left(1, 1, at=1.0, kept=True)],
        of=definition(fidelity=EPOCHS),
    )
    assert [(group.reason, group.trials) for group in interruptions(snapshot)] == [("the worker died", [0])]


def test_the_table_has_every_value_in_its_own_type() -> None:
    columns = {column.name: column for column in table(several()).columns}
    assert columns["trial"].cells == [0, 1, 2, 3]
    assert columns["loss"].cells == [3, 1, 2, None]
    assert columns["optim"].texts == ["adam"] and columns["optim"].cells == [0, 0, 0, 0]
    assert columns["lr"].cells == [0.001] * 4 and columns["lr"].texts is None
    assert columns["error"].texts == ["", "RuntimeError: CUDA out of memory"]
    assert "momentum" not in columns


def test_a_table_that_is_too_wide_says_what_it_leaves_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("taut.reports.table._CELLS", 4 * 9)
    found = table(several())
    assert found.left_out == ["layers", "optim"] and "lr" in {column.name for column in found.columns}


# ---------------------------------------------------------------------- every figure of every study


def failing() -> Snapshot:
    return fold([opened(0), *trial(0, 0, 1, "failed"), *trial(1, 1, 2, "failed")])


def nasty() -> Snapshot:
    space = taut.Space(
        {"a-b.c": taut.uniform(0, 1), "kind": taut.choice([NASTY, "b", None, True, 3, [1, 2]])}
    )
    of = definition(space)
    events = [opened(0)]
    for n in range(40):
        kind = [NASTY, "b", None, True, 3, [1, 2]][n % 6]
        events += [started(n, n, x={"a-b.c": n / 40, "kind": kind}), ended(n, n + 1, loss=float(n % 7))]
    return fold(events, of=of, space=space)


STUDIES: dict[str, Callable[[], Snapshot]] = {
    "empty": lambda: fold(),
    "running": lambda: fold([opened(0), started(0, 0)]),
    "failing": failing,
    "one": lambda: fold([opened(0), *trial(0, 0, 1)]),
    "equal": lambda: fold([opened(0), *(event for n in range(30) for event in trial(n, n, n + 1))]),
    "huge": lambda: fold(
        [opened(0), *(e for n in range(30) for e in trial(n, n, n + 1, loss=10.0 ** (300 - 20 * n)))]
    ),
    "nasty": nasty,
    "usual": lambda: random_study(60).snapshot,
}


@pytest.mark.parametrize("name", STUDIES)
def test_plotly_takes_every_figure(name: str) -> None:
    snapshot = STUDIES[name]()
    weighed = importance.importance(snapshot)
    drawn = [
        history.figure(history.history(snapshot)),
        importance.figure(weighed),
        parallel.figure(parallel.parallel(snapshot)),
        slices.figure(slices.slices(snapshot, order=weighed.names)),
        learning.figure(learning.learning(snapshot)),
        front.figure(front.pareto(snapshot)),
        *(contours.figure(each) for each in contours.contours(snapshot, weighed.names)),
    ]
    for form in drawn:
        shown = graph.Figure(form)
        assert "NaN" not in shown.to_json() and "Infinity" not in shown.to_json()
        labels = [text for text in _texts(form) if "ticktext" not in text]
        assert not any("<script" in text or "<a " in text for text in labels)


def _texts(form: Any, key: str = "") -> list[str]:
    """All texts of a figure, but for the ticks of parallel coordinates, which Plotly shows as they are."""
    if isinstance(form, dict):
        raw = "range" in form and "values" in form
        return [
            text
            for name, each in form.items()
            if not (raw and name == "ticktext")
            for text in _texts(each, name)
        ]
    if isinstance(form, list):
        return [text for each in form for text in _texts(each, key)]
    return [form] if isinstance(form, str) else []


def test_figures_of_a_study_from_python() -> None:
    study = random_study(60)
    plot = study.plot
    for figure in (
        plot.history(),
        plot.importance(),
        plot.parallel(),
        plot.slice(),
        plot.contour(),
        plot.curves(),
        plot.pareto(),
    ):
        assert isinstance(figure, graph.Figure)
    assert plot.contour("lr", "layers").layout.title.text == "lr and layers"
    assert "useful work" in str(plot.gantt())
    assert plot.gantt()._repr_svg_().startswith("<svg")
    with pytest.raises(
        InputError, match="'los' is no objective of this study; use loss; did you mean 'loss'"
    ):
        plot.history("los")
    with pytest.raises(InputError, match=r"'layer' is no parameter .* did you mean 'layers'"):
        plot.contour("lr", "layer")
    with pytest.raises(InputError, match="give both x and y"):
        plot.contour("lr")
    with pytest.raises(InputError, match="two different"):
        plot.contour("lr", "lr")


def test_without_plotly_a_figure_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    import sys

    monkeypatch.setitem(sys.modules, "plotly.graph_objects", None)
    study = random_study(3)
    with pytest.raises(InputError, match=r"pip install 'taut\[report\]'"):
        study.plot.history()
    assert study.plot.gantt().text()


def test_the_space_of_the_tests_is_conditional() -> None:
    assert SPACE.optional == {"momentum"}
