"""Differential evolution: its equations, who becomes a member, and that it finds, avoids and begins again as it should."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import pytest

import taut
from taut.definition import Budget, Definition, Objective
from taut.errors import InputError
from taut.events import Finished, Note, Started
from taut.samplers.differential import DifferentialSampler
from taut.samplers.differential.children import Parents, by_history, by_place, child
from taut.samplers.differential.memory import Memory, Success
from taut.samplers.geometry import Geometry
from taut.snapshot import Snapshot
from taut.space import Space, choice, loguniform, normal, ordinal, uniform, uniform_int

Outcome = Mapping[str, float] | str | None  # metrics, the state it ended in, or None while it runs

CUBE = Space({f"x{j}": uniform(0, 1) for j in range(5)})
MIXED = Space(
    lr=loguniform(1e-5, 1e-1),
    layers=uniform_int(1, 12),
    kind=choice(["sgd", "adam", "lion"]),
    size=ordinal([8, 16, 32, 64]),
    momentum=uniform(0.0, 0.99, when="kind == 'sgd'"),
)


class Lab:
    """A study as its snapshot: trials are added with what became of them."""

    def __init__(
        self,
        space: Space,
        trials: int | None = None,
        objectives: tuple[str, ...] = ("loss",),
        subject_to: tuple[str, ...] = (),
    ) -> None:
        self.space = space
        wanted = [Objective(name) for name in objectives]
        self.snapshot = Snapshot(
            Definition(
                "a study",
                space.to_json(),
                wanted,
                subject_to=list(subject_to),
                budget=Budget(trials=trials),
                seed=3,
            ),
            space,
        )

    def start(self, params: Mapping[str, Any], note: Note | None = None) -> int:
        n = self.snapshot.size
        memo = {} if note is None else {"m": note}
        self.snapshot.apply(0, [Started(n=n, a=0, x=dict(params), r=0, c=n + 1, t=float(n), **memo)])
        return n

    def end(self, n: int, outcome: Outcome) -> None:
        state, y = (outcome, {}) if isinstance(outcome, str) else ("complete", dict(outcome or {}))
        end = Finished(n=n, a=0, state=state, y=y, t=float(self.snapshot.size) + n / 1e6)  # type: ignore[arg-type]
        self.snapshot.apply(0, [end])

    def run(
        self,
        trials: int,
        objective: Callable[[dict[str, Any]], Outcome],
        sampler: DifferentialSampler,
        seed: int = 0,
        pending: int = 0,
    ) -> None:
        under_way: list[tuple[int, dict[str, Any]]] = []
        for _ in range(trials):
            codes, notes = sampler.propose_noted(
                self.space, seed, np.array([self.snapshot.size]), self.snapshot
            )
            (params,) = self.space.params(codes)
            under_way.append((self.start(params, notes[0]), params))
            if len(under_way) > pending:
                n, params = under_way.pop(0)
                self.end(n, objective(params))

    @property
    def best(self) -> float:
        return float(np.nanmin(self.snapshot.values("loss")))


def spread(space: Space, losses: list[Outcome], **more: Any) -> Lab:
    """Trials everywhere that others began."""
    lab = Lab(space, **more)
    units = np.random.default_rng(5).random((len(losses), len(space)))
    for params, outcome in zip(space.params(space.quantile(units)), losses, strict=True):
        lab.end(lab.start(params, {"F": 0.5, "CR": 0.5}), outcome)
    return lab


def bowl(params: dict[str, Any]) -> Outcome:
    return {"loss": sum((value - 0.3) ** 2 for value in params.values())}


# -- what has worked --------------------------------------------------------------------------------------


def test_the_memory_keeps_weighted_lehmer_means() -> None:
    memory = Memory().after([Success(0.2, 0.0, 3.0), Success(0.8, 1.0, 1.0)])
    assert memory.scales[0] == pytest.approx((3 * 0.04 + 0.64) / (3 * 0.2 + 0.8))
    assert memory.rates[0] == pytest.approx(1.0) and memory.at == 1
    assert memory.scales[1:] == (0.5,) * 5 and Memory().after([]) == Memory()
    for _ in range(6):
        memory = memory.after([Success(0.9, 0.1, 1.0)])
    assert memory.scales == pytest.approx((0.9,) * 6) and memory.at == 1


def test_a_rate_of_none_stays() -> None:
    memory = Memory()
    for _ in range(6):
        memory = memory.after([Success(0.5, 0.0, 1.0)])
    assert memory.rates == (None,) * 6
    assert all(memory.drawn(np.random.default_rng(s))[1] == 0.0 for s in range(20))
    assert memory.after([Success(0.5, 0.9, 1.0)]).rates == (None,) * 6


def test_draws_lie_around_what_is_remembered() -> None:
    rng = np.random.default_rng(0)
    drawn = np.array([Memory().drawn(rng) for _ in range(4000)])
    assert (drawn[:, 0] > 0).all() and drawn.max() <= 1.0 and (drawn[:, 1] >= 0).all()
    assert np.median(drawn[:, 0]) == pytest.approx(0.5, abs=0.03)
    assert drawn[:, 1].mean() == pytest.approx(0.5, abs=0.02) and drawn[:, 1].std() == pytest.approx(
        0.1, abs=0.02
    )
    assert (drawn[:, 0] == 1.0).mean() > 0.03  # the tails of a Cauchy distribution


# -- children --------------------------------------------------------------------------------------------


def parents(unit: Any, scale: float = 0.5, rate: float = 1.0, active: Any = None) -> Parents:
    unit = np.array(unit, float)
    return Parents(unit, np.ones(unit.shape, bool) if active is None else np.array(active), scale, rate)


def test_a_child_is_what_the_equations_say() -> None:
    geometry, unit = Geometry.of(CUBE), np.random.default_rng(1).random((5, 5)) * 0.2 + 0.4
    target, base, best, first, second = unit
    made = child(geometry, parents(unit, 0.7), np.random.default_rng(0))
    assert made == pytest.approx(base + 0.7 * (best - base) + 0.7 * (first - second))
    for seed in range(20):  # one gene at least
        made = child(geometry, parents(unit, 0.7, rate=0.0), np.random.default_rng(seed))
        assert (made != target).sum() == 1


def test_who_would_leave_the_cube_stops_half_way() -> None:
    unit = np.full((5, 5), 0.2)
    unit[3], unit[4] = [0.0, 1.0, 0.2, 0.9, 0.2], [0.9, 0.0, 0.2, 0.0, 0.2]
    made = child(Geometry.of(CUBE), parents(unit, 1.0), np.random.default_rng(0))
    assert made == pytest.approx([0.1, 0.6, 0.2, 0.6, 0.2])


def test_choices_are_inherited_and_seldom_drawn() -> None:
    space = Space({f"c{j}": choice(list("abcdefghij")) for j in range(400)})
    unit = np.broadcast_to(np.array([0.05, 0.15, 0.35, 0.55, 0.75])[:, None], (5, 400))
    kinds = np.floor(child(Geometry.of(space), parents(unit), np.random.default_rng(0)) * 10).astype(int)
    share = np.bincount(kinds, minlength=10) / 400
    # The base's with (1 - F)^2, who it is drawn towards with F (1 - F), x_r1's with F; a tenth of all anew.
    assert share[[1, 3, 5]] == pytest.approx([0.235, 0.235, 0.46], abs=0.08)
    assert 0.04 < 1 - share[[1, 3, 5]].sum() < 0.12
    alike = np.full((5, 400), 0.15)
    kinds = np.floor(child(Geometry.of(space), parents(alike), np.random.default_rng(0)) * 10)
    assert (kinds == 1).mean() > 0.86


def test_a_gene_that_no_parent_had_is_drawn_from_its_prior() -> None:
    space = Space(kind=choice(["a", "b"]), width=normal(0.0, 1.0, low=-9.0, high=9.0, when="kind == 'a'"))
    active = np.ones((5, 2), bool)
    active[:, 1] = False
    made = np.array(
        [
            child(Geometry.of(space), parents(np.full((5, 2), 0.5), active=active), np.random.default_rng(s))
            for s in range(300)
        ]
    )
    width = space.decode(made, conditions=False)[:, 1]
    assert len(set(width)) == 300 and abs(width.mean()) < 0.2 and 0.85 < width.std() < 1.15
    active[1:3, 1] = True  # the base and the best have it
    made = child(Geometry.of(space), parents(np.full((5, 2), 0.5), active=active), np.random.default_rng(0))
    assert made[1] == 0.5


# -- members ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("count", [12, 37, 200])
def test_members_are_the_best_of_all(count: int) -> None:
    losses: list[Outcome] = [{"loss": loss} for loss in np.random.default_rng(2).random(count).tolist()]
    losses[3] = "failed"
    lab = spread(CUBE, losses)
    state = DifferentialSampler(population=10).state(lab.snapshot)
    table = lab.snapshot.values("loss")
    assert state.now.numbers.tolist() == np.argsort(table, kind="stable")[:10].tolist()
    assert state.count == count and len(state.former) <= 26
    assert not set(state.former.numbers) & set(state.now.numbers)


def test_former_members_are_remembered_and_the_oldest_forgotten() -> None:
    lab = spread(CUBE, [{"loss": -float(n)} for n in range(100)])  # each drives one out
    state = DifferentialSampler(population=10).state(lab.snapshot)
    assert sorted(state.former.numbers) == list(range(64, 90))


def test_of_equal_ones_the_newer_is_ahead() -> None:
    state = DifferentialSampler(population=10).state(spread(CUBE, [{"loss": 1.0}] * 57).snapshot)
    assert sorted(state.now.numbers) == list(range(47, 57))


def test_each_place_has_the_best_of_its_trials() -> None:
    losses: list[Outcome] = [{"loss": loss} for loss in np.random.default_rng(2).random(97).tolist()]
    losses[3] = losses[9] = losses[22] = "failed"
    lab = spread(CUBE, losses)
    state = DifferentialSampler("rand1bin").state(lab.snapshot)
    table = lab.snapshot.values("loss")
    for place, number in enumerate(state.now.numbers.tolist()):
        assert number == min(range(place, 97, 20), key=lambda n: (np.isnan(table[n]), table[n]))
    drawn = by_place(state, 43, np.random.default_rng(0))
    assert (drawn.unit[0] == state.now.unit[3]).all() and drawn[2:] == (0.5, 0.5)
    assert len({row.tobytes() for row in drawn.unit[[0, 1, 3, 4]]}) == 4


@pytest.mark.parametrize("seed", range(40))
def test_parents_are_apart(seed: int) -> None:
    losses = np.random.default_rng(seed).random(40)
    state = DifferentialSampler(population=8).state(
        spread(CUBE, [{"loss": loss} for loss in losses.tolist()]).snapshot
    )
    members = 4 + seed % 5
    drawn = by_history(state, members, np.random.default_rng(seed))
    rows = {row.tobytes(): i for i, row in enumerate(np.concatenate((state.now.unit, state.former.unit)))}
    target, base, best, first, second = (rows[row.tobytes()] for row in drawn.unit)
    assert target == base and len({target, first, second}) == 3 and best < 2
    assert target < members and first < members
    assert second < members or second >= len(rows) - round(2.6 * members)


def test_success_is_to_become_a_member() -> None:
    """Of the second generation only what is well made gets in."""
    lab = Lab(CUBE)
    for n in range(20):
        scale = 0.9 if n % 2 else 0.1
        lab.end(
            lab.start({f"x{j}": (n + j) % 7 / 7 for j in range(5)}, {"F": scale, "CR": scale}),
            {"loss": -float(n) if n % 2 or n < 10 else 99.0},
        )
    memory = DifferentialSampler(population=10).state(lab.snapshot).memory
    assert memory.scales[1] == pytest.approx(0.9) and memory.rates[1] == pytest.approx(0.9)


@pytest.mark.parametrize("variant", ["adaptive", "rand1bin"])
@pytest.mark.parametrize("objectives", [("loss",), ("loss", "cost")])
def test_how_many_are_taken_in_at_a_time_makes_no_difference(
    variant: str, objectives: tuple[str, ...]
) -> None:
    rng = np.random.default_rng(4)
    outcomes: list[Outcome] = [
        "failed" if u < 0.1 else {name: round(x, 1) for name, x in zip(("loss", "cost", "memory"), y)}  # noqa: B905
        for u, *y in rng.random((90, 4)).tolist()
    ]
    units, sampler = rng.random((90, 5)), DifferentialSampler(variant, 12)

    def asked(every: int) -> list[float]:
        lab = Lab(MIXED, 200, objectives, ("memory <= 0.7",))
        for n, params in enumerate(MIXED.params(MIXED.quantile(units))):
            lab.end(lab.start(params, {"F": units[n, 0], "CR": units[n, 1]}), outcomes[n])
            if n % every == 0:
                sampler.propose(MIXED, 3, np.array([n + 1]), lab.snapshot)
        codes, notes = sampler.propose_noted(MIXED, 3, np.arange(90, 96), lab.snapshot)
        return [codes.tobytes(), notes]  # type: ignore[list-item]

    assert asked(1000) == asked(1) == asked(7)


def test_the_population_shrinks_towards_the_end_of_the_budget() -> None:
    sampler = DifferentialSampler(population=24)
    for count, members in ((50, 14), (100, 4), (130, 4)):
        lab = spread(CUBE, [{"loss": float(n)} for n in range(count)], trials=100)
        told = sampler.account(lab.snapshot)
        assert told is not None and told.startswith(f"{members} members"), told
    endless = spread(CUBE, [{"loss": float(n)} for n in range(500)])
    assert str(sampler.account(endless.snapshot)).startswith("24 members")
    assert str(sampler.account(Lab(CUBE).snapshot)).startswith("draws from the priors")


@pytest.mark.parametrize("variant", ["adaptive", "rand1bin"])
def test_who_are_all_in_one_place_begin_again(variant: str) -> None:
    sampler, lab = DifferentialSampler(variant, 8), Lab(CUBE)
    for n in range(8):
        lab.end(lab.start({f"x{j}": 0.25 for j in range(5)}), {"loss": float(-n)})
    state = sampler.state(lab.snapshot)
    assert state.size == 16 and state.now.numbers.tolist() == [7]
    lab.run(60, bowl, sampler)
    assert np.ptp(lab.snapshot.codes[8:22], axis=0).min() > 0.6  # from the priors, not from one place
    after = sampler.state(lab.snapshot)
    assert after.size == len(after.now) == 16 and lab.best == -7.0
    assert min(lab.snapshot.notes, default=23) == 23


# -- whole runs -----------------------------------------------------------------------------------------------


def random_best(space: Space, trials: int, objective: Callable[[dict[str, Any]], Any], seed: int) -> float:
    codes = space.quantile(np.random.default_rng(seed).random((trials, len(space))))
    return min(objective(params)["loss"] for params in space.params(codes))


@pytest.mark.parametrize("pending", [0, 12])
@pytest.mark.parametrize("variant, gain", [("adaptive", 200.0), ("rand1bin", 8.0)])
def test_it_finds_the_bottom_of_a_bowl(variant: str, gain: float, pending: int) -> None:
    ours, theirs = [], []
    for seed in range(2):
        lab = Lab(CUBE, 400)
        lab.run(400, bowl, DifferentialSampler(variant), seed, pending)
        ours.append(lab.best)
        theirs.append(random_best(CUBE, 400, bowl, seed))
    assert np.mean(theirs) > gain * np.mean(ours)


def test_it_searches_a_mixed_space_with_conditions() -> None:
    def objective(params: dict[str, Any]) -> Outcome:
        off = abs(math.log10(params["lr"]) + 2.5) + abs(params["layers"] - 7) / 4 + (params["size"] != 32)
        return {"loss": off + (abs(params["momentum"] - 0.9) if params["kind"] == "sgd" else 0.5)}

    ours, theirs = [], []
    for seed in range(4):
        lab = Lab(MIXED)
        lab.run(150, objective, DifferentialSampler(), seed)
        ours.append(lab.best)
        theirs.append(random_best(MIXED, 150, objective, seed))
    assert np.mean(ours) < 0.5 * np.mean(theirs)


def test_a_discrete_space_is_searched_without_repeats() -> None:
    space = Space({f"n{j}": uniform_int(0, 9) for j in range(6)})

    def objective(params: dict[str, Any]) -> Outcome:
        return {"loss": float(sum(abs(value - 6) for value in params.values()))}

    lab = Lab(space)
    lab.run(200, objective, DifferentialSampler())
    assert len({row.tobytes() for row in lab.snapshot.codes}) == 200
    assert lab.best <= 1.0 < random_best(space, 200, objective, 0)


def test_failures_and_constraints_are_left_behind() -> None:
    def fails(params: dict[str, Any]) -> Outcome:
        return "failed" if params["x0"] < 0.5 else bowl(params)

    lab = Lab(CUBE)
    lab.run(200, fails, DifferentialSampler())
    assert lab.best < 0.05 and (lab.snapshot.codes[150:, 0] < 0.5).mean() < 0.4

    def limited(params: dict[str, Any]) -> Outcome:
        return {**dict(bowl(params) or {}), "memory": params["x0"]}  # type: ignore[arg-type]

    lab = Lab(CUBE, subject_to=("memory >= 0.5",))
    lab.run(200, limited, DifferentialSampler())
    kept = lab.snapshot.codes[:, 0] >= 0.5
    assert np.nanmin(lab.snapshot.values("loss")[kept]) < 0.05


def test_it_waits_for_four_that_did_not_fail() -> None:
    sampler, lab = DifferentialSampler(), Lab(CUBE)
    lab.run(30, lambda params: "failed", sampler)
    assert not lab.snapshot.notes
    lab.run(5, bowl, sampler)
    assert min(lab.snapshot.notes) == 34


def test_with_hyperband_partly_trained_trials_have_children() -> None:
    study = taut.Study(
        None,
        CUBE,
        minimize="loss",
        sampler="differential",
        pruner={
            "method": "hyperband",
            "fidelity": {"name": "epoch", "min": 1, "max": 9, "resume": True},
        },
        seed=1,
    )

    def train(trial: taut.Trial) -> None:
        begin = 0 if trial.resumed_step is None else int(trial.resumed_step)
        for epoch in range(begin + 1, 10):
            trial.report(step=epoch, loss=float(bowl(trial.params)["loss"]) + 1.0 / epoch)  # type: ignore
            if trial.should_stop():
                break

    study.run(train, trials=120)
    snapshot, half = study.snapshot, study.snapshot.size // 2
    distance = ((snapshot.codes - 0.3) ** 2).sum(axis=1)
    assert len(snapshot.notes) > 60 and np.mean(distance[half:]) < 0.4 * np.mean(distance[:8])


# -- options -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "options, message",
    [
        ({"variant": "rand2bin"}, "variant = 'rand2bin' is not known"),
        ({"variant": None}, "variant = None"),
        ({"population": 3}, "from 4 to 10000"),
        ({"population": True}, "from 4 to 10000"),
        ({"population": 20.0}, "from 4 to 10000"),
        ({"population": 10_001}, "from 4 to 10000"),
    ],
)
def test_options_are_checked(options: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        DifferentialSampler(**options)


def test_the_population_suits_the_space() -> None:
    assert DifferentialSampler().size(Geometry.of(CUBE)) == 13
    assert DifferentialSampler().size(Geometry.of(Space(x=uniform(0, 1)))) == 4
    assert DifferentialSampler("rand1bin").size(Geometry.of(CUBE)) == 20
    assert DifferentialSampler(population=33).size(Geometry.of(CUBE)) == 33
