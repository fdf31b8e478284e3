"""`TautSearchCV`: scikit-learn's search over parameters, with taut to choose, evaluate and remember."""

from __future__ import annotations

import numbers
import os
import time
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from joblib import effective_n_jobs
from sklearn.base import BaseEstimator, _fit_context, clone, is_classifier
from sklearn.metrics._scorer import _MultimetricScorer
from sklearn.model_selection import check_cv
from sklearn.model_selection._search import BaseSearchCV
from sklearn.model_selection._validation import _warn_or_raise_about_fit_failures
from sklearn.utils import check_random_state, get_tags, indexable
from sklearn.utils._param_validation import Interval
from sklearn.utils.validation import _check_method_params

from taut.definition import Budget
from taut.errors import InputError
from taut.integrations.sklearn.folds import CrossValidation
from taut.integrations.sklearn.identity import compare, identity, settle
from taut.integrations.sklearn.results import failures, outcomes, scorers_of
from taut.integrations.sklearn.running import evaluate, told
from taut.integrations.sklearn.spaces import Given
from taut.resultlines import metric_name
from taut.space import Space
from taut.study import Study
from taut.trial import TrialRecord

__all__ = ["TautSearchCV"]


class TautSearchCV(BaseSearchCV):  # type: ignore[misc]
    """Search an estimator's parameters by cross-validation. Takes the place of `RandomizedSearchCV` and `GridSearchCV`.

    Choose it where scikit-learn is the whole program: each trial learns from those before it, hopeless ones can be stopped after a fold or
    two, and with a `path` the search is a study like any other: it is resumed by the same call, and any number of processes that make the
    same call share it.

    estimator, scoring, cv, refit, error_score, verbose, return_train_score: as in `RandomizedSearchCV`. Several scores with
        ``refit=False`` or a callable are several objectives, of which taut looks for the front.
    space: a `taut.Space`, or a mapping from names (``svc__C``) to parameters of taut, lists of values, or frozen distributions of
        `scipy.stats`. A list may hold anything, estimators among it.
    n_trials: finished trials that the study is to have, over all processes and calls; None leaves the end to the sampler ("grid") or
        to the study in `path`.
    n_jobs: trials that run side by side, each in a warm process; None or 1 runs them in this one, -1 takes all cores.
    sampler: a method's name or a mapping with its options; "auto" if left out.
    pruner: who stops trials, in the same form; a fold is a step. "racing" is made for folds. Nobody if left out.
    path: a directory to keep the study in; None keeps it in memory, until `fit` is over.
    random_state: the study's seed. None is another course each time, as in scikit-learn; with a path, the seed that the study has.

    What `fit` leaves is that of scikit-learn: `cv_results_`, `best_params_`, `best_estimator_`, `best_score_`, `best_index_`, `n_splits_`,
    `refit_time_`, `scorer_`, `multimetric_`. `cv_results_` has a row for each trial, with two more columns: ``trial`` and
    ``state`` (complete, pruned, failed, or paused: it waits to be promoted); who lacks folds has no mean score, and ranks last. `trials_`
    has the trials as taut records them.

    Raises `taut.InputError`, a ValueError, for what is given wrongly, with nothing written; what an estimator raises is counted by
    `error_score`.
    """

    _parameter_constraints: dict[str, Any] = {  # noqa: RUF012 (scikit-learn's form)
        **BaseSearchCV._parameter_constraints,
        "space": [Space, Mapping],
        "n_trials": [Interval(numbers.Integral, 1, None, closed="left"), None],
        "sampler": [str, Mapping, None],
        "pruner": [str, Mapping, None],
        "path": [str, os.PathLike, None],
        "random_state": ["random_state"],
    }
    _parameter_constraints.pop("pre_dispatch")

    def __init__(
        self,
        estimator: BaseEstimator,
        space: Space | Mapping[str, Any],
        *,
        n_trials: int | None = 30,
        scoring: Any = None,
        n_jobs: int | None = None,
        refit: Any = True,
        cv: Any = None,
        sampler: str | Mapping[str, Any] | None = None,
        pruner: str | Mapping[str, Any] | None = None,
        path: str | os.PathLike[str] | None = None,
        random_state: Any = None,
        verbose: int = 0,
        error_score: Any = np.nan,
        return_train_score: bool = False,
    ) -> None:
        super().__init__(
            estimator=estimator,
            scoring=scoring,
            n_jobs=n_jobs,
            refit=refit,
            cv=cv,
            verbose=verbose,
            error_score=error_score,
            return_train_score=return_train_score,
        )
        self.space = space
        self.n_trials = n_trials
        self.sampler = sampler
        self.pruner = pruner
        self.path = path
        self.random_state = random_state

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.target_tags.multi_output = get_tags(self.estimator).target_tags.multi_output
        return tags

    @_fit_context(prefer_skip_nested_validation=False)  # type: ignore[untyped-decorator]
    def fit(self, X: Any, y: Any = None, **params: Any) -> TautSearchCV:
        """Search, and fit the estimator with the best parameters on all of the data.

        X: array-like, sparse matrix or data frame of shape (n_samples, n_features). y: targets, if there are any.
        params: what goes to the estimator, the scorers and the splitter (``sample_weight``, ``groups``, metadata), as in scikit-learn.
        """
        if getattr(self, "_skl_callbacks", None):
            warnings.warn(
                "TautSearchCV does not call scikit-learn's callbacks; `trials_` has the times and scores",
                stacklevel=2,
            )
        scorers, refit_metric = self._get_scorers()
        X, y = indexable(X, y)
        params = _check_method_params(X, params=params)
        routed = self._get_routed_params_for_fit(params)
        cv = check_cv(self.cv, y, classifier=is_classifier(self.estimator))
        splits = list(cv.split(X, y, **routed.splitter.split))
        self.n_splits_ = len(splits)
        if not splits:
            raise ValueError("No fits were performed. Was the CV iterator empty?")

        given = Given(self.space)
        given.check(self.estimator.get_params(deep=True))
        named = list(scorers._scorers) if isinstance(scorers, _MultimetricScorer) else None
        if named and len({metric_name(name) for name in named}) < len(named):
            raise InputError(
                f"of {named} two are the same but for signs; give them other names", ("scoring",)
            )
        targets = ["score"] if named is None else [refit_metric] if isinstance(self.refit, str) else named
        targets = [metric_name(name) for name in targets]
        study = self._study(given, targets, (X, y, splits, routed.estimator.fit))
        task = CrossValidation(
            clone(self.estimator),
            given,
            X,
            y,
            splits,
            scorer=scorers,
            fit_params=routed.estimator.fit,
            score_params=routed.scorer.score,
            targets=targets,
            refit=self.refit,
            error_score=self.error_score,
            return_train_score=self.return_train_score,
            verbose=self.verbose,
            trials=self.n_trials or 0,
        )
        if self.verbose > 0:
            print(
                f"Fitting up to {len(splits)} folds for each of {self.n_trials or 'as many as there are'} trials"
            )
        with study:
            evaluate(study, task, self.n_trials, effective_n_jobs(self.n_jobs))
            self.trials_: list[TrialRecord] = told(study)
        self._conclude(scorers, named, refit_metric, given)
        self._refit(X, y, routed.estimator.fit)
        return self

    def _study(self, given: Given, targets: Sequence[str], fitted: tuple[Any, Any, Any, Any]) -> Study:
        """The study, made or resumed. fitted: X, y, the folds, and what else goes to `fit`."""
        place = None if self.path is None else Path(self.path).expanduser()
        now = {}
        if place is not None:
            now = identity(self.estimator, *fitted, self.scoring, given.space.names)
            compare(place, now)
        pruner = {"method": self.pruner} if isinstance(self.pruner, str) else self.pruner
        if pruner is not None:
            fold = {"name": "fold", "min": 1, "max": self.n_splits_, "resume": place is not None}
            pruner = {"fidelity": fold, **pruner}
        seed = self.random_state
        if not isinstance(seed, numbers.Integral) and not (seed is None and place is not None):
            seed = check_random_state(seed).randint(np.iinfo(np.int32).max)
        study = Study(
            place,
            given.space,
            maximize=[f"mean_test_{target}" for target in targets],
            sampler=self.sampler,
            pruner=pruner,
            seed=None if seed is None else int(seed),
        )
        budget = study.definition.budget
        if self.n_trials is None and budget == Budget() and study.store.proposals.endless:
            raise InputError("no end is in sight: give n_trials=100, or sampler='grid'", ("n_trials",))
        if place is not None:
            settle(place, now)
        return study

    def _conclude(self, scorers: Any, named: list[str] | None, refit_metric: str, given: Given) -> None:
        """Set `cv_results_` and what follows from it."""
        records = self.trials_
        _warn_or_raise_about_fit_failures(failures(records, self.n_splits_), self.error_score)
        known = named or [name for name in scorers_of(records) if name != "score"]
        self.multimetric_ = bool(known)
        if named is None and known:  # a callable with several scores, which `refit` chooses from
            refit_metric = self.refit
        own = {name: metric_name(name) for name in known}
        folds = [
            fold
            for record in records
            for fold in outcomes(record, self.n_splits_, own, self.multimetric_, self.return_train_score)
        ]
        settings = [given.settings(record.params) for record in records]
        more = {
            "trial": [record.number for record in records],
            "state": [record.state for record in records],
        }
        with warnings.catch_warnings():
            if all(record.state != "failed" for record in records):  # who was pruned is to have no mean
                warnings.filterwarnings("ignore", "One or more of the", UserWarning)
            results = self._format_results(settings, self.n_splits_, folds, more)
        if self.refit or not self.multimetric_:
            self.best_index_ = self._select_best_index(self.refit, refit_metric, results)
            if not callable(self.refit):
                self.best_score_ = results[f"mean_test_{refit_metric}"][self.best_index_]
            self.best_params_ = results["params"][self.best_index_]
        self.cv_results_ = results
        self.scorer_ = scorers._scorers if isinstance(scorers, _MultimetricScorer) else scorers

    def _refit(self, X: Any, y: Any, fit_params: Mapping[str, Any]) -> None:
        if not self.refit:
            return
        best = clone(self.estimator).set_params(**clone(self.best_params_, safe=False))
        begun = time.time()
        if y is None:
            best.fit(X, **fit_params)
        else:
            best.fit(X, y, **fit_params)
        self.refit_time_ = time.time() - begun
        self.best_estimator_ = best
        if hasattr(best, "feature_names_in_"):
            self.feature_names_in_ = best.feature_names_in_

    def _run_search(self, evaluate_candidates: Any, **_: Any) -> None:
        raise NotImplementedError("fit runs a study, in which each trial follows from those before it")
