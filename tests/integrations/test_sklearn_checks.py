"""`TautSearchCV` is an estimator as scikit-learn defines them: its own checks say so."""

from __future__ import annotations

import pytest

pytest.importorskip("sklearn")

from sklearn.base import BaseEstimator
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.estimator_checks import estimator_checks_generator

import taut
from taut.integrations.sklearn import TautSearchCV

SMALL = {"n_trials": 2, "cv": 2, "error_score": "raise", "sampler": "quasirandom"}
SEARCHES = {
    "classifier": TautSearchCV(LogisticRegression(), {"C": taut.loguniform(0.1, 1.0)}, **SMALL),
    "regressor": TautSearchCV(
        make_pipeline(StandardScaler(), Ridge()), taut.Space(ridge__alpha=taut.loguniform(0.1, 1.0)), **SMALL
    ),
}


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("kind", SEARCHES)
def test_it_passes_every_check_of_scikit_learn(kind: str) -> None:
    failed, passed = [], 0
    for estimator, check in estimator_checks_generator(SEARCHES[kind], mark=None):
        try:
            check(estimator)
            passed += 1
        except pytest.skip.Exception:
            continue
        except Exception as error:
            if type(error).__name__ != "SkipTest":
                failed.append((check, error))
    assert not failed
    assert passed > 40


def test_the_checks_run_on_a_search() -> None:
    (first, *_), *_ = estimator_checks_generator(SEARCHES["classifier"], mark=None)
    assert isinstance(first, BaseEstimator) and type(first) is TautSearchCV
