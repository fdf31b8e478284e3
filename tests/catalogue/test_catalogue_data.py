"""The catalogue's data: each line parses, each name exists, nothing means two things."""

from __future__ import annotations

import itertools
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from library_names import UNKNOWN, arguments, fields, popped, root

from taut import catalogue
from taut.catalogue import Entry, load
from taut.catalogue.names import CONTEXTS, plain
from taut.errors import InputError
from taut.space import Expression, Parameter, Space
from taut.starting.installed import Installed
from taut.starting.scope import refused

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

ENTRIES = {entry.name: entry for entry in catalogue.entries()}
COUPLINGS = {each.name: each for each in catalogue.couplings()}
INT = {"int"}
TYPES = {"float": [{"float"}, INT, {"float", "int"}], "int": [INT], "bool": [{"bool"}]}


def settings() -> Iterator[tuple[Entry, catalogue.Setting]]:
    return ((entry, setting) for entry in ENTRIES.values() for setting in entry.settings)


def aliases(library: str) -> list[tuple[str, catalogue.Alias]]:
    return [(e.name, alias) for e in ENTRIES.values() for alias in e.aliases if alias.owner == library]


def test_there_is_enough_of_each_family() -> None:
    assert len(ENTRIES) == len(catalogue.entries()) >= 120
    for family, least in (("model", 20), ("training", 50), ("inference", 15), ("performance", 25)):
        assert len(catalogue.entries(family)) >= least


def test_each_setting_is_a_parameter_and_its_line_reads_back() -> None:
    for entry, setting in settings():
        parsed = Parameter.from_json(entry.name, setting.prior)
        assert parsed.start is not None, entry.name
        line = tomllib.loads(setting.toml("a.b c", when="x > 1"))
        assert line == {"a.b c": {**setting.prior, "when": "x > 1"}}
        if entry.kind in TYPES and entry.name != "max_features":
            levels = {"list"} if "list" in parsed.types else set(parsed.types)
            assert levels in TYPES[entry.kind], (entry.name, parsed.types)


def test_what_is_tuned_has_ranges_and_what_is_not_says_why() -> None:
    for entry in ENTRIES.values():
        assert bool(entry.settings) == (entry.tune == "yes"), entry.name
        assert entry.notes or entry.tune == "yes", entry.name
        contexts = [context for setting in entry.settings for context in setting.contexts]
        assert set(contexts) <= set(CONTEXTS)
        shadowed = [s for s in entry.settings if all(entry.setting(c) is not s for c in s.contexts)]
        assert not shadowed, f"{entry.name}: {shadowed} never counts"


def test_everything_has_sources_and_all_sources_are_cited() -> None:
    cited = {source.key for each in (*ENTRIES.values(), *COUPLINGS.values()) for source in each.sources}
    assert cited == set(load.sources())
    for entry in ENTRIES.values():
        assert entry.sources or entry.tune == "no", entry.name
        assert all(source.url.startswith("https://") and source.says for source in entry.sources)


def test_interactions_name_other_entries() -> None:
    for entry in ENTRIES.values():
        assert {interaction.name for interaction in entry.interactions} <= set(ENTRIES) - {entry.name}


@pytest.mark.parametrize("name", [name for name, entry in ENTRIES.items() if entry.when])
def test_each_condition_can_be_fulfilled_by_ranges_of_the_catalogue(name: str) -> None:
    """Some choice of settings for its parents makes a space in which the parameter exists."""
    entry = ENTRIES[name]
    parents = Expression.parse(entry.when or "").names
    errors = []
    for priors in itertools.product(*([s.prior for s in ENTRIES[each].settings] for each in parents)):
        given = {each: Parameter.from_json(each, prior) for each, prior in zip(parents, priors, strict=True)}
        own = Parameter.from_json(name, {**entry.settings[0].prior, "when": entry.when})
        try:
            Space(**given, **{name: own})
            return
        except InputError as error:
            errors.append(error)
    raise errors[0]


@pytest.mark.parametrize("name", COUPLINGS)
def test_each_coupling_stands_in_a_space(name: str) -> None:
    coupling = COUPLINGS[name]
    assert {coupling.gives, *coupling.needs} <= set(ENTRIES)
    lines = tomllib.loads(coupling.toml())
    needed = {each: ENTRIES[each].settings[0].prior for each in coupling.needs}
    space = Space(**{key: Parameter.from_json(key, value) for key, value in (needed | lines).items()})
    drawn = space.params(space.quantile(np.random.default_rng(0).random((20, len(space)))))
    assert all(isinstance(each[coupling.gives], int | float) for each in drawn)
    renamed = coupling.expression(dict.fromkeys(coupling.needs, "x"))
    assert set(Expression.parse(renamed).names) <= {"x", *coupling.helpers}


def value(name: str, constants: dict[str, float] | None = None, **numbers: float) -> float:
    expression = Expression.parse(COUPLINGS[name].expression(**(constants or {})))
    return float(expression.evaluate({key: np.array([number]) for key, number in numbers.items()}).values[0])


def test_couplings_compute_what_their_sources_say() -> None:
    law = value("step_law_lr", {"tokens": 1e11}, num_hidden_layers=1 / 12, hidden_size=1e9**0.5)
    assert law == pytest.approx(1.63e-3, rel=0.005)  # N = 1e9, D = 1e11
    tokens = value("step_law_batch", {"tokens": 1e11}, max_sequence_length=1)
    assert tokens == pytest.approx(1.11e6, rel=0.01)
    for sequences, beta2 in ((512, 0.9494), (1, 0.9999)):
        exact = 2 ** (-sequences * 1024 / 7e6)
        got = value("beta2_half_life", effective_batch_size=sequences, max_sequence_length=1024)
        assert got == pytest.approx(exact, abs=1e-4) == pytest.approx(beta2, abs=1e-3)
    assert value("lr_square_root", learning_rate_ref=1e-4, effective_batch_size=128) == 2e-4
    assert value("feed_forward_width", hidden_size=4096) == 11008
    decay = value("weight_decay_timescale", effective_batch_size=10, learning_rate=1e-3, timescale=0.5)
    assert 1 / (1e-3 * decay) == pytest.approx(0.5 * 100_000 / 10)  # steps that AdamW averages over
    assert value("accumulation_fixed", per_device_train_batch_size=4) == 8


def test_no_name_means_two_things_without_a_context() -> None:
    for library in load.libraries():
        by_name: dict[str, list[tuple[str, catalogue.Alias]]] = {}
        for entry, alias in aliases(library):
            by_name.setdefault(plain(alias.name), []).append((entry, alias))
        for name, meanings in by_name.items():
            for (first, a), (second, b) in itertools.combinations(meanings, 2):
                apart = a.contexts and b.contexts and not set(a.contexts) & set(b.contexts)
                assert apart, f"{library}'s {name} is {first} and {second}"


# ------------------------------------------------------------ names in the libraries that are installed


def known(library: str) -> tuple[set[str], dict[str, list[object]]]:
    """Names that a library has, and the defaults of those that are fields; skips if it is not installed."""
    package = {"hf": "transformers", "pytorch": "torch"}.get(library, library)
    path = root(package)
    if path is None:
        pytest.skip(f"{package} is not installed")
    if library == "hf":
        own = fields(path / "training_args.py", path / "models/llama/configuration_llama.py")
        generation = path / "generation/configuration_utils.py"
        return set(own) | popped(generation, path / "configuration_utils.py"), own
    if library == "trl":
        own = fields(*path.glob("trainer/*_config.py"))
        return set(own) | set(fields(*path.glob("experimental/*/*_config.py"))), own
    if library == "peft":
        own = fields(path / "tuners/lora/config.py")
        return set(own), own
    if library == "sklearn":
        forests = (
            "ensemble/_forest.py",
            "ensemble/_gb.py",
            "ensemble/_hist_gradient_boosting/gradient_boosting.py",
        )
        linear = (
            "linear_model/_coordinate_descent.py",
            "linear_model/_ridge.py",
            "linear_model/_stochastic_gradient.py",
        )
        others = (
            "neural_network/_multilayer_perceptron.py",
            "svm/_classes.py",
            "neighbors/_classification.py",
        )
        return arguments(*(path / file for file in (*forests, *linear, *others))), {}
    files = ("optim/adamw.py", "optim/sgd.py", "utils/data/dataloader.py", "nn/modules/transformer.py")
    more = ("nn/modules/rnn.py", "nn/modules/loss.py", "nn/utils/clip_grad.py", "nn/parallel/distributed.py")
    return arguments(*(path / file for file in files + more)), {}


def test_each_optimiser_and_schedule_that_is_offered_can_be_built_here(tmp_path: Path) -> None:
    if root("transformers") is None or root("torch") is None or root("accelerate") is None:
        pytest.skip("transformers, torch or accelerate is not installed")
    import torch
    from transformers import Trainer, TrainingArguments

    needs = refused(Installed(sys.executable)) or "^$"
    built = set()
    for flag, name in (("optim", "optimizer"), ("lr_scheduler_type", "lr_scheduler_type")):
        settings = [s for s in ENTRIES[name].settings if not {"pytorch", "sklearn"} & set(s.contexts)]
        offered = {each for setting in settings for each in setting.prior["choice"]}
        for value in sorted(each for each in offered if not re.search(needs, each)):
            options: dict[str, Any] = {flag: value, "warmup_steps": 2}
            arguments = TrainingArguments(str(tmp_path), report_to=[], use_cpu=True, **options)
            trainer = Trainer(torch.nn.Linear(4, 2), arguments)
            trainer.create_optimizer_and_scheduler(10)
            for _ in range(10):
                trainer.optimizer.step()
                trainer.lr_scheduler.step()
            built.add(value)
    assert {"adamw_torch_fused", "adafactor", "cosine", "linear", "constant_with_warmup"} <= built


def test_heads_divide_every_width_that_is_offered() -> None:
    widths, heads, shared = (
        ENTRIES[name].settings[0].prior["ordinal"]
        for name in ("hidden_size", "num_attention_heads", "num_key_value_heads")
    )
    assert [(w, h) for w in widths for h in heads if w % h] == []
    assert [(h, k) for h in heads for k in shared if h >= 8 and h % k] == []
    sizes = COUPLINGS["heads_by_size"].helpers["head_size"]["ordinal"]
    assert [(w, size) for w in widths for size in sizes if w % (w // size)] == []


@pytest.mark.parametrize("library", ["hf", "trl", "peft", "sklearn", "pytorch"])
def test_names_and_defaults_are_those_of_the_installed_library(library: str) -> None:
    names, defaults = known(library)
    assert len(names) > 30
    for entry, alias in aliases(library):
        there = alias.name in names
        assert there != bool(alias.gone), f"{entry}: {library} has {'a' if there else 'no'} {alias.name!r}"
        given = ENTRIES[entry].defaults.get(library)  # type: ignore[call-overload]
        found = [each for each in defaults.get(alias.name, []) if each is not UNKNOWN and each is not None]
        if isinstance(given, bool | int | float) and found and not alias.values and not alias.inverted:
            assert given in found, f"{entry}: {library}'s default is {found}, not {given}"
