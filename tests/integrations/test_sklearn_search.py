"""`TautSearchCV` beside scikit-learn's own searches: same numbers, same attributes, same ways to go wrong."""

from __future__ import annotations

import json
import os
import pickle
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("sklearn")

import sklearn
from scipy import sparse
from scipy.stats import randint
from sklearn.base import clone
from sklearn.datasets import make_classification
from sklearn.exceptions import FitFailedWarning
from sklearn.feature_selection import SelectKBest, f_classif
from sklearn.linear_model import LogisticRegression, SGDClassifier
from sklearn.model_selection import GridSearchCV, GroupKFold, KFold, StratifiedKFold, cross_val_score
from sklearn.naive_bayes import GaussianNB
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import FunctionTransformer, MinMaxScaler, StandardScaler
from sklearn.tree import DecisionTreeClassifier

import taut
from taut.integrations.sklearn import TautSearchCV
from taut.opening import make_proposals
from taut.verify import verify

X, Y = make_classification(n_samples=90, n_features=8, n_informative=4, flip_y=0.1, random_state=0)
ALPHAS = [1e-4, 1e-2, 1.0]


def logistic(**more: Any) -> TautSearchCV:
    given = {"n_trials": 4, "cv": 3, "sampler": "quasirandom", "random_state": 0, **more}
    return TautSearchCV(LogisticRegression(), {"C": taut.loguniform(1e-3, 1e3)}, **given)


# ---------------------------------------------------------------------- as GridSearchCV


@pytest.mark.parametrize(
    "scoring", ["accuracy", ["accuracy", "roc_auc"], {"AUC": "roc_auc", "my score": "f1"}]
)
def test_a_grid_gives_the_numbers_of_grid_search(scoring: Any) -> None:
    refit = True if isinstance(scoring, str) else list(scoring)[1]
    grid = {"alpha": ALPHAS, "penalty": ["l2", None]}
    estimator = SGDClassifier(random_state=0, max_iter=200)
    options = {"scoring": scoring, "refit": refit, "cv": 3, "return_train_score": True}
    theirs = GridSearchCV(estimator, grid, **options).fit(X, Y)
    ours = TautSearchCV(estimator, grid, n_trials=None, sampler="grid", **options).fit(X, Y)
    assert set(ours.cv_results_) == set(theirs.cv_results_) | {"trial", "state"}
    order = [ours.cv_results_["params"].index(params) for params in theirs.cv_results_["params"]]
    assert sorted(order) == list(range(6))
    for name, column in theirs.cv_results_.items():
        assert type(column) is type(ours.cv_results_[name])
        if "time" not in name and name != "params":
            assert list(np.asarray(ours.cv_results_[name])[order]) == list(np.asarray(column)), name
    assert ours.best_score_ == theirs.best_score_
    assert ours.multimetric_ == theirs.multimetric_ == (not isinstance(scoring, str))
    assert ours.n_splits_ == 3
    assert ours.score(X, Y) == ours.best_estimator_.score(X, Y) if isinstance(scoring, str) else True
    assert list(ours.classes_) == [0, 1] and ours.n_features_in_ == 8
    assert (ours.predict(X) == ours.best_estimator_.predict(X)).all()
    assert ours.refit_time_ > 0


def test_a_search_is_an_estimator_within_others() -> None:
    scores = cross_val_score(make_pipeline(StandardScaler(), logistic(n_trials=2)), X, Y, cv=2)
    assert len(scores) == 2 and scores.max() > 0.4


def test_the_same_seed_gives_the_same_search_and_none_another_each_time() -> None:
    first, second = logistic().fit(X, Y), logistic().fit(X, Y)
    assert first.cv_results_["params"] == second.cv_results_["params"]
    assert first.cv_results_["params"] != logistic(random_state=1).fit(X, Y).cv_results_["params"]
    np.random.seed(3)
    third, fourth = (logistic(random_state=None).fit(X, Y).cv_results_["params"] for _ in range(2))
    assert third != fourth
    np.random.seed(3)
    assert logistic(random_state=None).fit(X, Y).cv_results_["params"] == third


def test_a_fitted_search_can_be_pickled_and_a_fresh_one_cloned() -> None:
    search = logistic()
    assert clone(search).get_params()["n_trials"] == 4
    again = pickle.loads(pickle.dumps(search.fit(X, Y)))
    assert again.best_params_ == search.best_params_
    assert again.trials_[0].state == "complete"
    assert (again.predict(X) == search.predict(X)).all()
    assert "TautSearchCV" in repr(search) and "TautSearchCV" in search._repr_html_()


# ---------------------------------------------------------------------- spaces


def test_what_a_space_may_be_made_of() -> None:
    pipeline = Pipeline(
        [("scale", StandardScaler()), ("select", SelectKBest(k=4)), ("clf", LogisticRegression())]
    )
    search = TautSearchCV(
        pipeline,
        {
            "scale": [StandardScaler(), MinMaxScaler(), "passthrough", FunctionTransformer(np.tanh)],
            "select__k": randint(2, 8),
            "select__score_func": [f_classif],
            "clf": [LogisticRegression(), DecisionTreeClassifier(random_state=0)],
            "clf__C": taut.loguniform(1e-2, 1e2, when="clf == 'LogisticRegression()'"),
            "clf__max_depth": taut.uniform_int(1, 5, when="clf == 'DecisionTreeClassifier(random_state=0)'"),
        },
        n_trials=12,
        cv=2,
        random_state=0,
        sampler="quasirandom",
        error_score="raise",
    ).fit(X, Y)
    rows = search.cv_results_["params"]
    assert {type(row["scale"]).__name__ for row in rows} >= {"StandardScaler", "MinMaxScaler"}
    assert all(row["select__score_func"] is f_classif for row in rows)
    assert {"clf__C" in row for row in rows} == {True, False}
    mask = np.ma.getmaskarray(search.cv_results_["param_clf__C"])
    assert [("clf__C" in row) is not hidden for row, hidden in zip(rows, mask, strict=True)] == [True] * 12
    assert search.best_estimator_.get_params()["clf"] is not pipeline.named_steps["clf"]


def test_tuples_stay_tuples() -> None:
    scaler = make_pipeline(MinMaxScaler(), LogisticRegression())
    ranges = [(0, 1), (-1, 1)]
    for space in (
        {"minmaxscaler__feature_range": ranges},
        taut.Space(minmaxscaler__feature_range=taut.choice(ranges)),
    ):
        search = TautSearchCV(scaler, space, n_trials=3, cv=2, error_score="raise").fit(X, Y)
        assert search.best_params_["minmaxscaler__feature_range"] in ranges


def test_the_estimator_gets_plain_numbers_in_the_order_of_their_size() -> None:
    search = TautSearchCV(
        LogisticRegression(), {"C": np.logspace(-2, 2, 5)}, n_trials=None, sampler="grid", cv=2
    )
    search.fit(X, Y)
    assert sorted(row["C"] for row in search.cv_results_["params"]) == list(np.logspace(-2, 2, 5))
    assert all(type(row["C"]) is float for row in search.cv_results_["params"])
    assert search.cv_results_["param_C"].dtype == float


@pytest.mark.parametrize(
    ("space", "says"),
    [
        ({"c": [1.0, 2.0]}, "the estimator has no parameter 'c'; estimator.get_params"),
        ({"C": 1.0}, "1.0 says not what may be tried"),
        ({"C": []}, "the list of values is empty"),
        ({"C": [1.0, 1.0]}, "1.0 stands twice"),
        ({"C": __import__("scipy.stats").stats.expon(1.0)}, "scipy.stats.expon is no prior of taut"),
    ],
)
def test_a_wrong_space_is_refused_before_anything_is_fitted(space: Any, says: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=says.replace("(", r"\(")):
        TautSearchCV(LogisticRegression(), space, path=tmp_path / "study").fit(X, Y)
    assert not list(tmp_path.iterdir())


# ---------------------------------------------------------------------- scores


def test_several_scores_without_refit_are_several_objectives(tmp_path: Path) -> None:
    search = TautSearchCV(
        DecisionTreeClassifier(random_state=0),
        taut.Space(max_depth=taut.uniform_int(1, 8), min_samples_leaf=taut.uniform_int(1, 20)),
        scoring=["precision", "recall"],
        refit=False,
        n_trials=8,
        cv=3,
        path=tmp_path / "two",
    ).fit(X, Y)
    assert not hasattr(search, "best_params_") and search.multimetric_
    assert {"mean_test_precision", "rank_test_recall"} <= set(search.cv_results_)
    study = taut.Study(tmp_path / "two")
    assert [o.metric for o in study.definition.objectives] == ["mean_test_precision", "mean_test_recall"]
    assert {trial.number for trial in study.pareto} <= set(search.cv_results_["trial"])


def test_a_callable_refit_chooses() -> None:
    search = logistic(
        scoring=["accuracy", "roc_auc"], refit=lambda results: int(results["mean_test_roc_auc"].argmin())
    )
    search.fit(X, Y)
    assert search.best_index_ == search.cv_results_["mean_test_roc_auc"].argmin()
    assert not hasattr(search, "best_score_") and search.best_estimator_ is not None


def _both(estimator: Any, X: Any, y: Any) -> dict[str, float]:
    right = float((estimator.predict(X) == y).mean())
    return {"right": right, "wrong": 1 - right}


def test_a_callable_score_of_one_and_of_several_numbers() -> None:
    one = logistic(scoring=lambda estimator, X, y: _both(estimator, X, y)["right"]).fit(X, Y)
    assert one.best_score_ == logistic().fit(X, Y).best_score_ and not one.multimetric_
    several = logistic(scoring=_both, refit="right").fit(X, Y)
    assert several.multimetric_ and several.best_score_ == one.best_score_
    assert np.allclose(several.cv_results_["mean_test_wrong"], 1 - several.cv_results_["mean_test_right"])
    with pytest.raises(ValueError, match="say which one the search goes by, refit='right'"):
        logistic(scoring=_both).fit(X, Y)


# ---------------------------------------------------------------------- data and metadata


def test_sparse_data_frames_and_names() -> None:
    pandas = pytest.importorskip("pandas")
    frame = pandas.DataFrame(X, columns=[f"f{i}" for i in range(8)])
    plain = logistic().fit(X, Y)
    assert logistic().fit(sparse.csr_matrix(X), Y).best_score_ == plain.best_score_
    framed = logistic().fit(frame, pandas.Series(Y))
    assert list(framed.feature_names_in_) == list(frame.columns)
    assert framed.best_score_ == plain.best_score_


def test_groups_and_weights_arrive() -> None:
    groups = np.arange(len(Y)) % 6
    weights = np.where(Y == 1, 5.0, 1.0)
    space = {"C": ALPHAS}
    ours = TautSearchCV(LogisticRegression(), space, n_trials=None, sampler="grid", cv=GroupKFold(3))
    theirs = GridSearchCV(LogisticRegression(), space, cv=GroupKFold(3))
    for search in (ours, theirs):
        search.fit(X, Y, groups=groups, sample_weight=weights)
    assert sorted(ours.cv_results_["mean_test_score"]) == sorted(theirs.cv_results_["mean_test_score"])
    assert np.allclose(ours.best_estimator_.coef_, theirs.best_estimator_.coef_)


def test_metadata_is_routed_also_to_other_processes() -> None:
    with sklearn.config_context(enable_metadata_routing=True):
        estimator = (
            LogisticRegression().set_fit_request(sample_weight=True).set_score_request(sample_weight=False)
        )
        weights = np.where(Y == 1, 5.0, 1.0)
        groups = np.arange(len(Y)) % 6
        searches = [
            TautSearchCV(estimator, {"C": ALPHAS}, n_trials=None, sampler="grid", cv=GroupKFold(3), n_jobs=2),
            GridSearchCV(estimator, {"C": ALPHAS}, cv=GroupKFold(3)),
        ]
        for search in searches:
            search.fit(X, Y, sample_weight=weights, groups=groups)
        assert sorted(searches[0].cv_results_["mean_test_score"]) == sorted(
            searches[1].cv_results_["mean_test_score"]
        )
        with pytest.raises(TypeError, match="got unexpected argument"):
            searches[0].fit(X, Y, nonsense=1)


# ---------------------------------------------------------------------- what goes wrong


class Moody(LogisticRegression):
    """Fails for a C above 1."""

    def fit(self, X: Any, y: Any, sample_weight: Any = None) -> Moody:
        if self.C > 1:
            raise ArithmeticError(f"no C above 1: {self.C}")
        return super().fit(X, y, sample_weight)


MOODY = {"C": [0.1, 1.0, 10.0]}


def test_failed_fits_are_counted_as_scikit_learn_does() -> None:
    search = TautSearchCV(Moody(), MOODY, n_trials=None, sampler="grid", cv=3)
    with pytest.warns(FitFailedWarning, match="1 fits failed out of a total of 7") as caught:
        search.fit(X, Y)
    assert any("no C above 1: 10.0" in str(warning.message) for warning in caught)
    failed = search.cv_results_["params"].index({"C": 10.0})
    assert search.cv_results_["state"][failed] == "failed"
    assert np.isnan(search.cv_results_["mean_test_score"][failed])
    assert search.cv_results_["rank_test_score"][failed] == 3
    with pytest.raises(ValueError, match="All the 2 fits failed"):
        TautSearchCV(Moody(), {"C": [2.0, 3.0]}, n_trials=None, sampler="grid", cv=3).fit(X, Y)


def test_error_score_as_a_number_and_raise() -> None:
    search = TautSearchCV(Moody(), MOODY, n_trials=None, sampler="grid", cv=3, error_score=0.0)
    with pytest.warns(FitFailedWarning, match="3 fits failed out of a total of 9"):
        search.fit(X, Y)
    assert min(search.cv_results_["mean_test_score"]) == 0.0
    for jobs, kind in ((1, ArithmeticError), (2, taut.StudyError)):
        with pytest.raises(kind, match=r"no C above 1: 10\.0"):
            TautSearchCV(Moody(), MOODY, n_trials=None, sampler="grid", error_score="raise", n_jobs=jobs).fit(
                X, Y
            )


def test_what_is_wrong_with_the_search_itself_is_raised(tmp_path: Path) -> None:
    search = TautSearchCV(
        Pipeline([("clf", LogisticRegression())]),
        {"clf": [GaussianNB(), LogisticRegression()], "clf__C": [1.0, 2.0]},
    )
    with pytest.raises(ValueError, match="Invalid parameter 'C' for estimator GaussianNB"):
        search.fit(X, Y)
    with pytest.raises(ValueError, match="no end is in sight"):
        logistic(n_trials=None, path=tmp_path / "study").fit(X, Y)
    assert not list(tmp_path.iterdir())
    with pytest.raises(ValueError, match="two are the same but for signs"):
        logistic(scoring={"a b": "f1", "a_b": "accuracy"}, refit="a b").fit(X, Y)
    with pytest.raises(ValueError, match="'n_trials' parameter of TautSearchCV must be"):
        logistic(n_trials=0).fit(X, Y)


# ---------------------------------------------------------------------- pruning


def test_a_trial_that_is_behind_stops_after_some_folds() -> None:
    search = TautSearchCV(
        DecisionTreeClassifier(random_state=0),
        taut.Space(max_depth=taut.ordinal([1, 2, 4, 8])),
        n_trials=16,
        cv=6,
        pruner={"method": "median", "fidelity": {"name": "fold", "min": 2, "max": 6}},
        sampler="random",
        random_state=0,
    ).fit(X, Y)
    states = search.cv_results_["state"]
    assert {"complete", "pruned"} == set(states)
    folds = np.array([search.cv_results_[f"split{i}_test_score"] for i in range(6)])
    ran = (~np.isnan(folds)).sum(axis=0)
    assert (ran[states == "complete"] == 6).all()
    assert ((ran >= 2) & (ran < 6))[states == "pruned"].all()
    assert np.isnan(search.cv_results_["mean_test_score"][states == "pruned"]).all()
    assert states[search.best_index_] == "complete"


def test_a_trial_that_waits_goes_on_from_its_folds(tmp_path: Path) -> None:
    fits = tmp_path / "fits"

    class Counting(DecisionTreeClassifier):
        def fit(self, X: Any, y: Any, sample_weight: Any = None, check_input: bool = True) -> Counting:
            with fits.open("a") as file:
                file.write("x")
            return super().fit(X, y)

    search = TautSearchCV(
        Counting(random_state=0),
        taut.Space(max_depth=taut.uniform_int(1, 6), min_samples_leaf=taut.uniform_int(1, 30)),
        n_trials=20,
        cv=4,
        pruner={"method": "asha", "eta": 2},
        path=tmp_path / "study",
        refit=False,
        sampler="random",
        random_state=0,
    ).fit(X, Y)
    study = taut.Study(tmp_path / "study")
    assert study.snapshot.waiting and any(trial.attempts > 1 for trial in study.trials)
    folds = np.array([search.cv_results_[f"split{i}_test_score"] for i in range(4)])
    assert fits.stat().st_size == (~np.isnan(folds)).sum()  # none was fitted twice
    best = search.cv_results_["mean_test_score"][search.best_index_]
    assert best == folds[:, search.best_index_].mean()
    assert verify(tmp_path / "study", make_proposals).good


# ---------------------------------------------------------------------- in a directory


def test_a_search_in_a_directory_is_resumed(tmp_path: Path) -> None:
    place = tmp_path / "study"
    first = logistic(path=place, n_trials=3).fit(X, Y)
    second = logistic(path=place, n_trials=6).fit(X, Y)
    assert list(second.cv_results_["trial"]) == list(range(6))
    assert second.cv_results_["params"][:3] == first.cv_results_["params"]
    assert list(second.cv_results_["split1_test_score"][:3]) == list(first.cv_results_["split1_test_score"])
    third = logistic(path=place, n_trials=6).fit(X, Y)  # nothing is left to do
    assert third.best_params_ == second.best_params_
    assert [trial.attempts for trial in taut.Study(place).trials] == [1] * 6
    assert verify(place, make_proposals).good


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"cv": 4}, "another cv"),
        ({"estimator": LogisticRegression(max_iter=77)}, "another estimator.max_iter"),
        ({"X": X + 1}, "another X"),
        ({"y": 1 - Y}, "another y"),
        ({"cv": StratifiedKFold(3, shuffle=True)}, "another cv .*fixed random_state"),
        ({"scoring": "roc_auc"}, "another scoring"),
    ],
)
def test_nobody_goes_on_with_another_search(change: dict[str, Any], says: str, tmp_path: Path) -> None:
    place = tmp_path / "study"
    logistic(path=place, n_trials=2).fit(X, Y)
    data = change.pop("X", X), change.pop("y", Y)
    before = sorted(path for path in place.rglob("*"))
    with pytest.raises(taut.InputError, match=says):
        logistic(path=place, n_trials=3).set_params(**change).fit(*data)
    assert len(taut.Study(place).trials) == 2
    assert sorted(path for path in place.rglob("*")) == before


def test_several_processes_share_a_search(tmp_path: Path) -> None:
    script = tmp_path / "tune.py"
    script.write_text(
        "import json, sys\n"
        "from sklearn.datasets import make_classification\n"
        "from sklearn.linear_model import LogisticRegression\n"
        "import taut\n"
        "from taut.integrations.sklearn import TautSearchCV\n"
        "X, y = make_classification(n_samples=90, random_state=0)\n"
        "space = {'C': taut.loguniform(1e-3, 1e3)}\n"
        "search = TautSearchCV(LogisticRegression(), space, n_trials=24, cv=3, path='study', sampler='quasirandom').fit(X, y)\n"
        "print(json.dumps([search.best_score_, search.best_params_, len(search.cv_results_['params'])]))\n"
    )
    env = {**os.environ, "PYTHONPATH": str(Path(taut.__file__).parents[1])}
    command = [sys.executable, str(script)]
    running = [subprocess.Popen(command, cwd=tmp_path, env=env, stdout=subprocess.PIPE) for _ in range(2)]
    said = [json.loads(process.communicate(timeout=90)[0]) for process in running]
    assert said[0] == said[1] and said[0][2] == 24
    study = taut.Study(tmp_path / "study")
    assert len({trial.worker for trial in study.trials}) == 2
    assert [trial.attempts for trial in study.trials] == [1] * 24


def test_the_folds_are_drawn_once(tmp_path: Path) -> None:
    search = logistic(cv=KFold(3, shuffle=True), n_trials=3, sampler="quasirandom")
    search.set_params(space={"C": [1.0], "tol": [1e-4, 1e-5]}).fit(X, Y)
    for i in range(3):  # sklearn's own would draw them once, too
        assert len(set(search.cv_results_[f"split{i}_test_score"])) == 1
