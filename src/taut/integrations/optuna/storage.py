"""A study of taut as a storage of Optuna that can be read: for its figures, its dashboard, and whatever else looks at a study."""

from __future__ import annotations

import copy
import os
import threading
from collections.abc import Container, Mapping, Sequence
from pathlib import Path
from typing import Any, NoReturn

import msgspec
from optuna.distributions import BaseDistribution
from optuna.storages import BaseStorage
from optuna.study import StudyDirection
from optuna.study._frozen import FrozenStudy
from optuna.trial import FrozenTrial, TrialState

from taut.clock import WallClock
from taut.definition import Evaluation
from taut.errors import InputError, StudyError
from taut.integrations.optuna.frozen import OWN, Trials, directions
from taut.metrics.pareto import best_first
from taut.opening import open_store
from taut.snapshot import Snapshot

__all__ = ["DEFINITION", "METRICS", "TautStorage", "study_attributes"]

DEFINITION = f"{OWN}definition"
"""The study's attribute that holds its definition, so that `taut import` need not guess."""
METRICS = "study:metric_names"
"""Where `Study.set_metric_names` keeps the names of the objectives."""
_ID = 0


def study_attributes(snapshot: Snapshot) -> dict[str, Any]:
    """The system attributes of the study: the names of its objectives, and its definition without what it runs."""
    definition = snapshot.definition
    kept = msgspec.structs.replace(definition, evaluation=Evaluation(), on={}, warm_start=[])
    return {
        METRICS: [one.metric for one in definition.objectives],
        DEFINITION: msgspec.json.encode(kept).decode(),
    }


class TautStorage(BaseStorage):
    """The study in the directory `path`, while it runs or afterwards: reads what is new whenever it is asked, and writes nothing.

    ``optuna.load_study(study_name=None, storage=TautStorage("runs/lora"))`` gives it to everything in Optuna that reads a study. To go on
    with it in Optuna, export it (``taut export runs/lora --to optuna``); to go on with it in taut, run it.

    Its only study has the id 0, and a trial's id is its number. `best_trial` is taut's: the best that fulfils the constraints.

    Raises `taut.InputError` if there is no study in `path`, and `taut.StudyError` from every method that would write.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self._path = Path(path)
        if not (self._path / "definition").is_dir():
            raise InputError(f"{self._path} holds no study; give the directory of one", ("path",))
        self._begin()

    def _begin(self) -> None:
        self._store = open_store(self._path, lambda now: now, WallClock())
        self._trials = Trials(self._store.snapshot)
        self._lock = threading.Lock()

    def __getstate__(self) -> dict[str, Any]:
        return {"_path": self._path}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self._begin()

    def _read(self) -> Snapshot:
        self._store.refresh()
        return self._store.snapshot

    def _only(self, study_id: int) -> None:
        if study_id != _ID:
            raise KeyError(f"there is one study here, with the id {_ID}")

    # ------------------------------------------------------------------ the study

    def get_study_id_from_name(self, study_name: str) -> int:
        if study_name != (there := self._store.snapshot.definition.name):
            raise KeyError(f"the study in {self._path} is called {there!r}")
        return _ID

    def get_study_name_from_id(self, study_id: int) -> str:
        self._only(study_id)
        return self._store.snapshot.definition.name

    def get_study_directions(self, study_id: int) -> list[StudyDirection]:
        self._only(study_id)
        return directions(self._store.snapshot)

    def get_study_user_attrs(self, study_id: int) -> dict[str, Any]:
        self._only(study_id)
        return {}

    def get_study_system_attrs(self, study_id: int) -> dict[str, Any]:
        self._only(study_id)
        return study_attributes(self._store.snapshot)

    def get_all_studies(self) -> list[FrozenStudy]:
        name, aims = self.get_study_name_from_id(_ID), self.get_study_directions(_ID)
        return [FrozenStudy(name, None, {}, self.get_study_system_attrs(_ID), _ID, directions=aims)]

    # ------------------------------------------------------------------ its trials

    def get_all_trials(
        self, study_id: int, deepcopy: bool = True, states: Container[TrialState] | None = None
    ) -> list[FrozenTrial]:
        self._only(study_id)
        with self._lock:
            self._read()
            trials = self._trials.all()
        found = [trial for trial in trials if states is None or trial.state in states]
        return copy.deepcopy(found) if deepcopy else found

    def get_trial(self, trial_id: int) -> FrozenTrial:
        trials = self.get_all_trials(_ID, deepcopy=False)
        if not 0 <= trial_id < len(trials):
            raise KeyError(f"there is no trial {trial_id}; {len(trials)} have begun")
        return copy.deepcopy(trials[trial_id])

    def get_best_trial(self, study_id: int) -> FrozenTrial:
        self._only(study_id)
        with self._lock:
            snapshot = self._read()
            order = best_first(snapshot) if len(snapshot.definition.objectives) == 1 else []
        return self.get_trial(order[0]) if order else super().get_best_trial(study_id)

    # ------------------------------------------------------------------ what would write

    def _refuse(self, what: str) -> NoReturn:
        raise StudyError(
            f"{what}: {self._path} is a study of taut, which Optuna can read here and not change; run it with "
            "taut run or taut worker, or go on with a copy in Optuna: taut export --to optuna"
        )

    def create_new_study(self, directions: Sequence[StudyDirection], study_name: str | None = None) -> int:
        self._refuse("no study can be created")

    def delete_study(self, study_id: int) -> None:
        self._refuse("it cannot be deleted")

    def set_study_user_attr(self, study_id: int, key: str, value: Any) -> None:
        self._refuse(f"{key!r} cannot be set")

    def set_study_system_attr(self, study_id: int, key: str, value: Any) -> None:
        self._refuse(f"{key!r} cannot be set")

    def create_new_trial(self, study_id: int, template_trial: FrozenTrial | None = None) -> int:
        self._refuse("no trial can begin")

    def set_trial_param(
        self, trial_id: int, param_name: str, param_value_internal: float, distribution: BaseDistribution
    ) -> None:
        self._refuse(f"{param_name!r} of trial {trial_id} cannot be set")

    def set_trial_state_values(
        self, trial_id: int, state: TrialState, values: Sequence[float] | None = None
    ) -> bool:
        self._refuse(f"trial {trial_id} cannot be told")

    def set_trial_intermediate_value(self, trial_id: int, step: int, intermediate_value: float) -> None:
        self._refuse(f"trial {trial_id} cannot report")

    def set_trial_user_attr(self, trial_id: int, key: str, value: Any) -> None:
        self._refuse(f"{key!r} of trial {trial_id} cannot be set")

    def set_trial_system_attr(self, trial_id: int, key: str, value: Mapping[str, Any] | Any) -> None:
        self._refuse(f"{key!r} of trial {trial_id} cannot be set")
