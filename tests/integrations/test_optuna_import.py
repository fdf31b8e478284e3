"""Studies of Optuna, imported: what they are in taut, how they go on, and what is said of the rest."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import pytest

optuna = pytest.importorskip("optuna")

from optuna.distributions import (  # noqa: E402
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)
from optuna.trial import TrialState, create_trial  # noqa: E402
from optuna_lab import opened  # noqa: E402

import taut  # noqa: E402
from taut.integrations.optuna import export_study, import_study  # noqa: E402
from taut.opening import make_proposals  # noqa: E402
from taut.verify import verify  # noqa: E402


def objective(trial: Any) -> float:
    """Asks for a branch and a range that grows, reports, is pruned, fails, notes numbers and texts."""
    lr: float = trial.suggest_float("lr", 1e-5, 1e-1, log=True)
    depth = trial.suggest_int("depth", 1, 3 + trial.number % 2)
    kind = trial.suggest_categorical("kind", ["sgd", "adam", None])
    loss = lr + depth
    if kind == "sgd":
        loss += trial.suggest_float("momentum", 0.0, 0.9, step=0.1)
    trial.set_user_attr("accuracy", 1 - lr)
    trial.set_user_attr("host", f"node{trial.number}")
    trial.set_constraint("memory", depth - 3.5)
    for epoch in range(3):
        trial.report(loss - epoch, epoch)
        if trial.should_prune():
            raise optuna.TrialPruned
    if trial.number == 5:
        raise RuntimeError("no memory is left")
    return loss


@pytest.fixture(scope="module", params=["db", "journal"])
def source(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file with a study "lora" of 24 trials, one that runs, and one that is enqueued; and an empty study "other"."""
    file = tmp_path_factory.mktemp("optuna") / f"o.{request.param}"
    pruner = optuna.pruners.PercentilePruner(75.0, n_startup_trials=3)
    sampler = optuna.samplers.RandomSampler(seed=1)
    study = optuna.create_study(storage=opened(file), study_name="lora", sampler=sampler, pruner=pruner)
    study.optimize(objective, n_trials=24, catch=RuntimeError)
    study.enqueue_trial({"lr": 1e-3, "depth": 2, "kind": "adam"})
    study.ask().suggest_float("lr", 1e-5, 1e-1, log=True)
    study.enqueue_trial({"lr": 1e-2, "depth": 2, "kind": "adam"})
    study.set_user_attr("who", "me")
    optuna.create_study(storage=opened(file), study_name="other")
    return file


def test_trials_are_what_they_were(source: Path, tmp_path: Path) -> None:
    before = source.read_bytes()
    there = optuna.load_study(study_name="lora", storage=opened(source))
    found = import_study(str(source), tmp_path / "s", "lora")
    study = taut.Study(tmp_path / "s")
    states = {"complete": TrialState.COMPLETE, "pruned": TrialState.PRUNED, "failed": TrialState.FAIL}
    for one, other in zip(study.trials[:24], there.trials[:24], strict=True):
        assert one.number == other.number and states[one.state] == other.state
        assert one.params == other.params and one.values["accuracy"] == other.user_attrs["accuracy"]
        assert one.values.get("value") == other.value
        assert one.values["memory"] == other.constraints["memory"]
        assert one.started == other.datetime_start.timestamp()
        assert one.finished == other.datetime_complete.timestamp()
        curve = [(event.s, event.y["value"]) for event in study.snapshot.curves.of(one.number)]
        assert curve == sorted(other.intermediate_values.items())
        times = [event.t for event in study.snapshot.curves.of(one.number)]
        assert (
            times == sorted(set(times))
            and one.started < times[0]
            and times[-1] == pytest.approx(one.finished)
        )
    assert study.best.number == there.best_trial.number
    assert {"complete", "pruned", "failed"} == {trial.state for trial in study.trials[:24]}
    assert study.definition.subject_to == ["memory <= 0"] and study.definition.name == "lora"
    assert study.space == taut.Space.from_json(
        {
            "lr": {"loguniform": [1e-5, 1e-1]},
            "depth": {"uniform_int": [1, 4], "asked": True},
            "kind": {"choice": ["sgd", "adam", None]},
            "momentum": {
                "uniform": [0.0, 0.9],
                "step": 0.1,
                "asked": True,
                "when": "kind not in ['adam', None]",
            },
        }
    )
    assert found.said == [
        "depth: its range changed on the way; here it has the widest, 1 to 4",
        "trials that ran or waited in Optuna (1) wait here, to be run from their start",
        "trials that ran or waited in Optuna and had no parameters yet (1) are new trials here",
        "attributes of the study itself are left behind: who",
    ]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["s"]
    assert source.read_bytes() == before and [path.name for path in source.parent.iterdir()] == [source.name]


def test_it_goes_on_where_optuna_stopped(source: Path, tmp_path: Path) -> None:
    import_study(str(source), tmp_path / "s", "lora")
    with taut.Study(tmp_path / "s") as study:
        study.run(objective, trials=30)
        trials = study.trials
    assert len(trials) == 30 and all(trial.state in ("complete", "pruned", "failed") for trial in trials)
    assert trials[25].params == {"lr": 1e-2, "depth": 2, "kind": "adam"} and trials[25].attempts == 2
    checked = verify(tmp_path / "s", make_proposals)
    assert checked.good and not checked.differences and checked.imported == 25 and checked.suggestions == 6


@pytest.mark.parametrize(
    "method",
    [
        "random",
        "quasirandom",
        "gp",
        "tpe",
        "conjugate",
        "cma",
        "differential",
        "swarm",
        "ants",
        "genetic",
        "evolution",
        "nsga2",
    ],
)
def test_every_sampler_goes_on(method: str, tmp_path: Path) -> None:
    study = optuna.create_study(
        storage=opened(tmp_path / "o.journal"), sampler=optuna.samplers.RandomSampler(seed=0)
    )
    study.optimize(objective, n_trials=12, catch=RuntimeError)
    import_study(str(tmp_path / "o.journal"), tmp_path / "s")
    with taut.Study(tmp_path / "s", sampler=method) as going:
        going.run(objective, trials=18)
        assert len(going.trials) == 18
    assert verify(tmp_path / "s", make_proposals).good


def test_a_plain_function_finds_what_all_trials_had(tmp_path: Path) -> None:
    study = optuna.create_study(directions=["maximize", "minimize"], storage=opened(tmp_path / "o.journal"))
    study.optimize(lambda trial: (trial.suggest_float("x", 0, 1), trial.suggest_int("n", 1, 4)), n_trials=4)
    import_study(str(tmp_path / "o.journal"), tmp_path / "s")
    with taut.Study(tmp_path / "s") as going:
        going.run(lambda x, n: {"value_0": x, "value_1": n}, trials=6)
        assert [t.values for t in going.trials[:4]] == [
            {"value_0": t.values[0], "value_1": t.values[1]} for t in study.trials
        ]
        assert [one.minimize for one in going.definition.objectives] == [False, True]
        assert {t.number for t in study.best_trials} <= {*range(4)} and len(going.pareto) >= 1


def test_names_and_values_that_taut_has_not(tmp_path: Path) -> None:
    study = optuna.create_study(storage=opened(tmp_path / "o.journal"))
    study.set_metric_names(["val loss"])
    space = {
        "the rate": FloatDistribution(0, 1),
        "the_rate": FloatDistribution(0, 1),
        "7": CategoricalDistribution(
            [[1, 2], {"a": 1}, math.inf, "b"]
        ),  # Optuna warns, and keeps them as JSON
        "größe": IntDistribution(1, 2),
    }
    params = {"the rate": 0.1, "the_rate": 0.2, "7": {"a": 1}, "größe": 1}
    attributes = {"step": 3, "flag": True, "many": [1, 2], "text": "t"}
    values: list[dict[str, Any]] = [
        {"value": math.inf},
        {"value": 1.0, "intermediate_values": {0: math.inf, 1: 2.0}},
    ]
    for more in values:
        study.add_trial(create_trial(params=params, distributions=space, user_attrs=attributes, **more))
    found = import_study(str(tmp_path / "o.journal"), tmp_path / "s")
    first, second = taut.Study(tmp_path / "s").trials
    assert first.state == "failed" and first.error == "val_loss is inf: the run diverged or divided by zero"
    assert second.values == {"val_loss": 1.0, "step": 3.0}
    assert second.params == {"the_rate_2": 0.1, "the_rate": 0.2, "p_7": '{"a": 1}', "gr__e": 1}
    assert found.snapshot.space.parameters["p_7"] == taut.choice([[1, 2], '{"a": 1}', "Infinity", "b"])
    assert found.said == [
        "'the rate' is called the_rate_2 here",
        "'7' is called p_7 here",
        "'größe' is called gr__e here",
        'p_7: its values {"a": 1}, Infinity are texts here',
        "the objective 'val loss' is called val_loss here",
        "trials that were complete with an infinite value (1) count as failed here",
        "intermediate values that were infinite (1) are kept as no number",
    ]


def test_constraints_whatever_their_names(tmp_path: Path) -> None:
    study = optuna.create_study(storage=opened(tmp_path / "o.journal"))
    constraints = {"0": -1.0, "value": 2.0, "lambda": math.inf, "a b": -3.0}
    for x in (0.1, 0.2):
        study.add_trial(
            create_trial(
                params={"x": x},
                distributions={"x": FloatDistribution(0, 1)},
                value=x,
                constraints=constraints if x == 0.1 else dict.fromkeys(constraints, -1.0),
                user_attrs={"value": 7},
            )
        )
    study.add_trial(create_trial(value=0.0))
    found = import_study(str(tmp_path / "o.journal"), tmp_path / "s")
    opened_study = taut.Study(tmp_path / "s")
    names = ["constraint_0", "value_2", "lambda_value", "a_b"]
    assert opened_study.definition.subject_to == [f"{name} <= 0" for name in names]
    assert opened_study.trials[0].values == dict(
        zip(["value", *names], [0.1, -1.0, 2.0, 1e300, -3.0], strict=True)
    )
    assert opened_study.best.number == 1
    assert found.said == ["complete trials without all constraints (1) do not fulfil them here"]


def test_numbers_that_are_none(tmp_path: Path) -> None:
    """A constraint that is no number is not fulfilled, and an attribute that no float can hold is no metric."""
    study = optuna.create_study(storage=opened(tmp_path / "o.journal"))
    for value, slack in ((1.0, math.nan), (2.0, -1.0)):
        study.add_trial(
            create_trial(
                params={"x": 0.5},
                distributions={"x": FloatDistribution(0, 1)},
                value=value,
                user_attrs={"big": 10**400},
                system_attrs={"constraints": [slack]},
            )
        )
    found = import_study(str(tmp_path / "o.journal"), tmp_path / "s")
    there = taut.Study(tmp_path / "s")
    assert there.best.number == 1 and "big" not in there.trials[1].values
    assert found.said == ["complete trials without all constraints (1) do not fulfil them here"]


@pytest.mark.parametrize(
    ("told", "names", "said"),
    [
        (
            ["loss", "loss"],
            ["loss_0", "loss_1"],
            ["the objective 'loss' is called loss_0 here", "the objective 'loss' is called loss_1 here"],
        ),
        (["a b", "c"], ["a_b", "c"], ["the objective 'a b' is called a_b here"]),
        (["one"], ["value_0", "value_1"], []),
        ("ab", ["value_0", "value_1"], []),
    ],
)
def test_names_of_objectives(told: Any, names: list[str], said: list[str], tmp_path: Path) -> None:
    """A file may come from anybody, so that there may be too few, or none at all."""
    study = optuna.create_study(storage=opened(tmp_path / "o.journal"), directions=["minimize"] * 2)
    study._storage.set_study_system_attr(study._study_id, "study:metric_names", told)
    study.add_trial(create_trial(values=[1.0, 2.0]))
    found = import_study(str(tmp_path / "o.journal"), tmp_path / "s")
    assert [one.metric for one in found.snapshot.definition.objectives] == names and found.said == said


def test_choices_that_were_added(tmp_path: Path) -> None:
    study = optuna.create_study(storage=opened(tmp_path / "o.journal"))
    for choices in (["a", "b"], ["b", "c", 1]):
        kind = CategoricalDistribution(choices)
        study.add_trial(create_trial(params={"kind": "b"}, distributions={"kind": kind}, value=1.0))
    import_study(str(tmp_path / "o.journal"), tmp_path / "s")
    space = taut.Study(tmp_path / "s").space
    assert space.to_json() == {"kind": {"choice": ["a", "b", "c", 1], "asked": True}}


def test_an_empty_study_and_one_whose_trials_only_failed(tmp_path: Path) -> None:
    study = optuna.create_study(storage=opened(tmp_path / "o.journal"), study_name="none")
    import_study(str(tmp_path / "o.journal"), tmp_path / "s")
    with taut.Study(tmp_path / "s") as going:
        assert len(going.run(objective, trials=2).trials) == 2
    study.add_trial(
        create_trial(state=TrialState.FAIL, params={"x": 1.0}, distributions={"x": FloatDistribution(0, 1)})
    )
    study.add_trial(create_trial(state=TrialState.FAIL))
    import_study(str(tmp_path / "o.journal"), tmp_path / "t")
    trials = taut.Study(tmp_path / "t").trials
    assert [trial.params for trial in trials] == [{"x": 1.0}, {}]
    assert trials[0].error == "it failed in Optuna, which does not know why"


def test_trials_that_wait_on_a_rung_wait_there_again(tmp_path: Path) -> None:
    pruner = {"method": "halving", "fidelity": {"name": "epoch", "min": 1, "max": 9}}
    space = taut.Space(x=taut.uniform(0, 1))
    study = taut.Study(tmp_path / "s", space, minimize="loss", sampler="random", pruner=pruner, trials=9)
    for trial in study.ask(6):
        trial.report(step=1, loss=trial.params["x"])
        assert trial.should_stop() in (True, False)
        trial.tell(loss=trial.params["x"])
    target, _ = export_study(study.snapshot, str(tmp_path / "s.journal"))
    back = import_study(str(target), tmp_path / "again").snapshot
    assert back.waiting == study.snapshot.waiting and back.tally() == study.snapshot.tally()
    assert back.definition == study.definition


@pytest.mark.parametrize(
    "pruner",
    [
        {"method": "optuna:/tmp/evil:Pruner"},
        {"method": "patient", "options": {"patience": 2, "inside": "optuna:/tmp/evil:Pruner"}},
        {"method": "patient", "options": {"patience": 2, "inside": {"method": "optuna:/tmp/evil:Pruner"}}},
    ],
)
def test_what_it_runs_is_not_taken_from_a_file(pruner: dict[str, object], tmp_path: Path) -> None:
    """A file may come from anybody: it may say what is tuned, and not what is started."""
    study = taut.Study(tmp_path / "s", taut.Space(x=taut.uniform(0, 1)), minimize="loss", sampler="random")
    study.ask().tell(loss=1.0)
    target, _ = export_study(study.snapshot, str(tmp_path / "s.journal"))
    text = target.read_text()
    definition = json.loads(json.loads(text.splitlines()[2])["system_attr"]["taut:definition"])
    definition["evaluation"]["command"] = ["rm", "-rf", "/"]
    definition["on"] = {"slurm": {"setup": ["evil"]}}
    definition["sampler"] = {"method": "optuna:/tmp/evil:Sampler"}
    definition["pruner"] = pruner
    lines = [json.loads(line) for line in text.splitlines()]
    lines[2]["system_attr"]["taut:definition"] = json.dumps(definition)
    target.write_text("".join(json.dumps(line) + "\n" for line in lines))
    found = import_study(str(target), tmp_path / "again")
    now = found.snapshot.definition
    assert now.evaluation.command is None and not now.on and now.sampler.method == "auto"
    assert now.pruner is None
    assert found.said[:2] == [
        "its sampler names a program, 'optuna:/tmp/evil:Sampler', which is yours to name: it has auto instead",
        "its pruner names a program, 'optuna:/tmp/evil:Pruner', which is yours to name: it has none",
    ]


@pytest.mark.parametrize("spoil", ["not json", '{"name": 1}', None])
def test_a_definition_that_does_not_fit_is_not_believed(spoil: str | None, tmp_path: Path) -> None:
    study = taut.Study(tmp_path / "s", taut.Space(x=taut.uniform(0, 1)), minimize="loss", sampler="random")
    study.ask().tell(loss=1.0)
    target, _ = export_study(study.snapshot, str(tmp_path / "s.journal"))
    there = optuna.load_study(study_name="s", storage=opened(target))
    if spoil is None:  # it went on in Optuna, with another range
        there.add_trial(
            create_trial(params={"x": 2.0}, distributions={"x": FloatDistribution(0, 3)}, value=1.0)
        )
    else:
        there._storage.set_study_system_attr(there._study_id, "taut:definition", spoil)
    found = import_study(str(target), tmp_path / "again")
    assert found.said[0].startswith("its definition by taut ")
    assert found.snapshot.space.parameters["x"].bounds == ((0.0, 1.0) if spoil else (0.0, 3.0))  # type: ignore[attr-defined]
    assert [one.metric for one in found.snapshot.definition.objectives] == ["loss"]


# ---------------------------------------------------------------------- what cannot be


@pytest.mark.parametrize(
    ("content", "name", "told"),
    [
        (None, None, "there is no such file"),
        (b"", None, "is empty"),
        (b"number,value\n", None, "is neither an SQLite nor a journal file of Optuna"),
        (b"SQLite format 3\0" + bytes(100), None, "cannot be read as a storage of Optuna"),
        (
            b'{"op_code": 0, "worker_id": "w", "study_name": "a", "directions": [1]}\n{"op\n{}\n',
            None,
            "o.file:2: the line is damaged",
        ),
        (b'{"a": 1}\n', None, "o.file:1: this is no line of a journal of Optuna"),
        (
            b'{"op_code": 0, "worker_id": "w", "study_name": "loar", "directions": [1]}\n',
            "lora",
            "has no study 'lora'; did you mean 'loar'",
        ),
        (b'{"op_code": 4, "torn', None, "without a study"),
    ],
)
def test_bad_input_leaves_nothing_behind(
    content: bytes | None, name: str | None, told: str, tmp_path: Path
) -> None:
    file = tmp_path / "o.file"
    if content is not None:
        file.write_bytes(content)
    with pytest.raises(taut.InputError, match=told):
        import_study(str(file), tmp_path / "s", name)
    assert [path.name for path in tmp_path.iterdir()] == ([] if content is None else ["o.file"])
    assert content is None or file.read_bytes() == content


def test_several_studies_have_to_be_chosen_from(source: Path, tmp_path: Path) -> None:
    with pytest.raises(taut.InputError, match="holds 2 studies; choose one with --study: lora, other"):
        import_study(str(source), tmp_path / "s")


def test_two_kinds_under_one_name(tmp_path: Path) -> None:
    study = optuna.create_study(storage=opened(tmp_path / "o.journal"))
    for log in (False, True):
        kind = FloatDistribution(1, 2, log=log)
        study.add_trial(create_trial(params={"x": 1.0}, distributions={"x": kind}, value=1.0))
    with pytest.raises(
        taut.InputError, match=r"'x' is .* in one trial and .* in another, and a parameter has one kind"
    ):
        import_study(str(tmp_path / "o.journal"), tmp_path / "s")
    assert [path.name for path in tmp_path.iterdir()] == ["o.journal"]


@pytest.mark.parametrize("there", ["file", "folder"])
def test_a_directory_that_is_taken(there: str, tmp_path: Path) -> None:
    optuna.create_study(storage=opened(tmp_path / "o.journal"))
    if there == "file":
        (tmp_path / "s").write_text("mine")
    else:
        (tmp_path / "s" / "mine").mkdir(parents=True)
    with pytest.raises(taut.InputError, match="give the name of a directory that is not there yet"):
        import_study(str(tmp_path / "o.journal"), tmp_path / "s")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["o.journal", "s"]


def test_urls(tmp_path: Path) -> None:
    file = tmp_path / "o.db"
    optuna.create_study(storage=opened(file), study_name="a")
    assert import_study(f"sqlite:///{file}", tmp_path / "s").name == "a"
    with pytest.raises(taut.InputError, match=r"install what opens such a database|cannot be read"):
        import_study("postgresql://nobody@localhost:1/none", tmp_path / "t")
    assert not (tmp_path / "t").exists()
