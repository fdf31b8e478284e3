"""The objective of a search: a trial is a cross-validation, and a fold one of its steps."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
from sklearn import config_context, get_config
from sklearn.base import BaseEstimator, clone
from sklearn.model_selection._validation import _fit_and_score

from taut.errors import InputError
from taut.integrations.sklearn.spaces import Given
from taut.resultlines import metric_name
from taut.trial import Trial

__all__ = ["CrossValidation", "Fold", "Unfit", "Unusable"]

Fold = dict[str, float]
"""What one fold gave: fit_time, score_time, and ``test_<scorer>`` (and ``train_<scorer>``) for each scorer."""

_KEPT = "folds.json"


class Unfit(Exception):
    """A fold could not be fitted or scored, and its score counts as NaN: the trial has failed."""


class Unusable(Exception):
    """Something is wrong with the search itself: it ends, and says so."""


class CrossValidation:
    """Fits and scores an estimator on all folds with a trial's parameters.

    Called with a trial it reports each fold, with the mean of the scores so far, and stops where the pruner gives the trial up. A
    trial that has to make way keeps the folds that it has, if the study is in a directory. Everything that it holds travels
    to the processes that run trials.

    splits: pairs of row numbers (train, test), the same for all trials. targets: the scorers whose means are the objectives; the
    metric of each is ``mean_test_<scorer>``. refit: where one callable gives several scores, the one that is searched by.
    """

    def __init__(
        self,
        estimator: BaseEstimator,
        given: Given,
        X: Any,
        y: Any,
        splits: Sequence[tuple[Any, Any]],
        *,
        scorer: Any,
        fit_params: Mapping[str, Any],
        score_params: Mapping[str, Any],
        targets: Sequence[str],
        refit: Any,
        error_score: Any,
        return_train_score: bool,
        verbose: int,
        trials: int,
    ) -> None:
        self.estimator, self.given = estimator, given
        self.X, self.y, self.splits = X, y, list(splits)
        self.targets, self.refit, self.trials = list(targets), refit, trials
        self.error_score = error_score
        self.options = {
            "scorer": scorer,
            "fit_params": fit_params,
            "score_params": score_params,
            "error_score": error_score,
            "return_train_score": return_train_score,
            "return_times": True,
            "verbose": verbose,
        }
        self.config = get_config()
        self.raised: Exception | None = None  # what ended the search, where it happened in this process

    def __call__(self, trial: Trial) -> dict[str, float] | None:
        folds = self._kept(trial)
        try:
            params = self.given.settings(trial.params)
            while len(folds) < len(self.splits):
                folds.append(self._fold(trial.number, params, len(folds)))
                trial.report(step=len(folds), **self._row(folds))
                if len(folds) == len(self.splits):
                    break
                if trial.should_stop():
                    self._keep(trial, folds)
                    break
                if trial.should_checkpoint() and self._keep(trial, folds):
                    trial.pause()
                    return None
        except Unfit:
            raise
        except Exception as error:
            self.raised = error
            raise Unusable(f"{type(error).__name__}: {error}") from error
        return self._row(folds)

    def _fold(self, number: int, params: Mapping[str, Any], index: int) -> Fold:
        train, test = self.splits[index]
        with config_context(**self.config):
            found = _fit_and_score(
                clone(self.estimator),
                self.X,
                self.y,
                train=train,
                test=test,
                parameters=params,
                split_progress=(index, len(self.splits)),
                candidate_progress=(number, self.trials),
                **self.options,
            )
        problem = found["fit_error"]
        where = f"fold {index + 1} of {len(self.splits)}"
        if problem and not np.isfinite(self.error_score):
            raise Unfit(f"{where} cannot be fitted:\n{problem}")
        fold: Fold = {"fit_time": found["fit_time"], "score_time": found["score_time"]}
        for part in ("test", "train"):
            if f"{part}_scores" in found:
                fold |= {f"{part}_{name}": v for name, v in self._scores(found[f"{part}_scores"]).items()}
        fold |= {"failed": 1.0} if problem else {}
        missing = [name for name in self.targets if not np.isfinite(fold[f"test_{name}"])]
        if missing:
            raise Unfit(f"{where} has {missing[0]} = {fold[f'test_{missing[0]}']}, and so has the mean")
        return fold

    def _scores(self, scores: Any) -> dict[str, float]:
        """The scores of a fold by names that taut can write down."""
        if not isinstance(scores, dict):  # one scorer; or several whose fit failed, all with the same number
            return dict.fromkeys(self.targets, float(scores))
        named = {metric_name(name): float(score) for name, score in scores.items()}
        if self.targets == ["score"]:  # a callable may give several, which nobody knew beforehand
            if self.refit not in scores:
                raise InputError(
                    f"scoring gives {', '.join(map(repr, scores))}; say which one the search goes by, "
                    f"refit={next(iter(scores))!r}, or name them all in a list or a dict",
                    ("refit",),
                )
            named["score"] = float(scores[self.refit])
        return named

    def _row(self, folds: Sequence[Fold]) -> dict[str, float]:
        """The metrics of a trial: its row of `cv_results_`, as far as it has come."""
        row = {f"mean_test_{name}": _mean(folds, f"test_{name}") for name in self.targets}
        row["mean_fit_time"] = _mean(folds, "fit_time")
        for index, fold in enumerate(folds):
            row |= {f"split{index}_{name}": value for name, value in fold.items()}
        return row

    def _keep(self, trial: Trial, folds: Sequence[Fold]) -> bool:
        """Write down what the next attempt need not do again; False for a study in memory, which has no place for it."""
        place = trial.checkpoint_dir
        if place is None:
            return False
        draft = place / f"{_KEPT}.tmp"
        draft.write_bytes(msgspec.json.encode(folds))
        os.replace(draft, place / _KEPT)
        return True

    def _kept(self, trial: Trial) -> list[Fold]:
        place: Path | None = trial.resumed_from
        if place is not None:
            with contextlib.suppress(OSError, msgspec.DecodeError):  # then from the first fold
                return msgspec.json.decode((place / _KEPT).read_bytes(), type=list[Fold])
        return []


def _mean(folds: Sequence[Fold], name: str) -> float:
    return float(np.mean([fold[name] for fold in folds]))
