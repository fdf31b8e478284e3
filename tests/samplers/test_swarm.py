"""Particle swarm: how a particle moves, whose places it is drawn to, and that the swarm finds what it should."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from breeding_lab import Lab, Params
from scipy import stats

from taut.errors import InputError
from taut.events import Started
from taut.samplers.geometry import Geometry
from taut.samplers.population.ended import Ended
from taut.samplers.swarm import Swarm, SwarmSampler
from taut.space import Space, choice, normal, uniform, uniform_int

W, C = 1.0 / (2.0 * math.log(2.0)), 0.5 + math.log(2.0)
PLANE = Space(x=uniform(0.0, 1.0), y=uniform(0.0, 1.0))
MIXED = Space(
    kind=choice(["a", "b", "c"]),
    x=uniform(0.0, 1.0, when="kind == 'a'"),
    bell=normal(10.0, 1.0, when="kind == 'a'"),
    n=uniform_int(0, 7),
    y=uniform(0.0, 1.0),
)


class Flights(Lab):
    """Remembers what the sampler wants to know of its trials, as the log does."""

    def ask(self, count: int = 1, seed: int = 0) -> list[Params]:
        numbers = np.arange(self.snapshot.size, self.snapshot.size + count)
        codes, notes = self.sampler.propose_noted(self.space, seed, numbers, self.snapshot)
        self.wanted = dict(zip(numbers.tolist(), notes, strict=True))
        return self.space.params(codes)

    def begin(self, params: Params) -> int:
        n = self.snapshot.size
        note = self.wanted.get(n) if hasattr(self, "wanted") else None
        memo = {} if note is None else {"m": note}
        self.snapshot.apply(0, [Started(n=n, a=0, x=params, r=0, c=n + 1, t=float(n), **memo)])
        return n

    @property
    def state(self) -> Swarm:
        assert isinstance(self.sampler, SwarmSampler)
        state = self.sampler.state(self.snapshot)
        assert state is not None
        return state


def trials(unit: Any, active: Any = None) -> Ended:
    unit = np.array(unit, float)
    has = np.ones(unit.shape, bool) if active is None else np.array(active)
    k = len(unit)
    return Ended(np.arange(k), unit, has, np.zeros((k, 1)), np.zeros((k, 0)))


def swarm(
    at: Any, best: Any, order: Any, velocity: Any = None, informs: Any = None, active: Any = None
) -> Swarm:
    s = len(at)
    links = np.tile(np.arange(s)[:, None], (1, 3)) if informs is None else np.array(informs)
    speed = np.zeros(np.shape(at)) if velocity is None else np.array(velocity, float)
    return Swarm(trials(at, active), speed, trials(best), np.array(order, float), links)


def moves(space: Space, state: Swarm, count: int = 4000, number: int = 0) -> tuple[Any, list[Any]]:
    sampler, rng = SwarmSampler(), np.random.default_rng(0)
    snapshot = Lab(space, sampler).snapshot
    made = [sampler.child(Geometry.of(space), state, number, snapshot, rng) for _ in range(count)]
    return np.array([unit for unit, _ in made]), [note for _, note in made]


# -- a move ---------------------------------------------------------------------------------------------------


def test_a_move_is_uniform_in_radius_and_direction_around_the_centre() -> None:
    x, p, best = np.array([0.4, 0.5]), np.array([0.5, 0.52]), np.array([0.48, 0.6])
    state = swarm([x, x], [p, best], [1.0, 0.0], informs=[[0] * 3, [0] * 3])  # 1 informs 0
    points, _ = moves(PLANE, state)
    centre = (x + x + C * (p - x) + x + C * (best - x)) / 3
    away = points - centre
    radius = np.linalg.norm(centre - x)
    assert stats.kstest(np.linalg.norm(away, axis=1) / radius, "uniform").pvalue > 1e-3
    angle = np.arctan2(away[:, 1], away[:, 0]) / (2 * np.pi) + 0.5
    assert stats.kstest(angle, "uniform").pvalue > 1e-3


def test_who_leads_is_drawn_to_its_own_best_alone() -> None:
    x, p = np.array([0.4, 0.5]), np.array([0.5, 0.52])
    points, _ = moves(PLANE, swarm([x, x], [p, [0.9, 0.9]], [0.0, 1.0], informs=[[0] * 3, [0] * 3]))
    centre = (x + x + C * (p - x)) / 2
    assert np.linalg.norm(points - centre, axis=1).max() <= np.linalg.norm(centre - x) * (1 + 1e-9)
    assert points.mean(axis=0) == pytest.approx(centre, abs=0.004)


def test_nobody_is_drawn_to_whom_it_does_not_hear() -> None:
    x = np.array([0.4, 0.5])
    deaf = swarm([x, x], [x, [0.9, 0.9]], [1.0, 0.0])  # everybody informs only itself
    assert (moves(PLANE, deaf, 50)[0] == x).all()


def test_a_particle_flies_on_with_part_of_its_velocity() -> None:
    x, v = np.array([0.4, 0.5]), np.array([0.1, -0.2])
    points, notes = moves(PLANE, swarm([x], [x], [0.0], [v]), 5)
    assert points == pytest.approx(np.tile(x + W * v, (5, 1)))
    assert notes[0] == {"particle": 0, "velocity": pytest.approx((W * v).tolist(), rel=1e-5)}


def test_it_bounces_off_a_bound() -> None:
    x, v = np.array([0.95, 0.5]), np.array([0.1, -0.2])
    points, notes = moves(PLANE, swarm([x], [x], [0.0], [v]), 1)
    assert points[0] == pytest.approx([1.0, 0.5 - 0.2 * W])
    assert notes[0]["velocity"] == pytest.approx([-0.5 * W * 0.1, -0.2 * W], rel=1e-5)


def test_choices_are_those_of_the_best_and_never_in_between() -> None:
    space = Space(kind=choice(list("abcde")), y=uniform(0.0, 1.0))
    state = swarm(
        [[0.1, 0.5], [0.1, 0.5]], [[0.3, 0.5], [0.9, 0.6]], [1.0, 0.0], np.zeros((2, 1)), [[0] * 3, [0] * 3]
    )
    share = np.bincount((moves(space, state, 8000)[0][:, 0] * 5).astype(int), minlength=5) / 8000
    assert share == pytest.approx([0.02, 0.32, 0.02, 0.02, 0.62], abs=0.02)


def test_what_the_particle_lacked_is_drawn_from_the_prior() -> None:
    geometry = Geometry.of(MIXED)
    has = [[True, False, False, True, True]]
    here = [[0.5, 0.5, 0.5, 0.4375, 0.5]]
    state = swarm(here, here, [0.0], np.full((1, 4), 0.3), active=has)
    state = dataclasses.replace(state, best=trials(here, has))
    points, notes = moves(MIXED, state, 2000)
    assert stats.kstest(points[:, 1], "uniform").pvalue > 1e-3
    bell = geometry.space.columns[2].decode(points[:, 2])
    assert bell.mean() == pytest.approx(10.0, abs=0.1) and bell.std() == pytest.approx(1.0, abs=0.1)
    assert all(
        note["velocity"][:2] == [0.0, 0.0] for note in notes
    )  # and it does not fly along what it had not


# -- what the swarm learns ------------------------------------------------------------------------------------


def sphere(params: Params) -> dict[str, float]:
    return {"loss": sum((value - 0.3) ** 2 for value in params.values())}


def askew(params: Params) -> dict[str, float]:
    """A valley at 45 degrees, ten times as long as wide."""
    along, across = params["x"] + params["y"] - 0.7, params["x"] - params["y"] - 0.1
    return {"loss": along**2 + 100.0 * across**2}


def test_it_makes_no_difference_how_many_trials_are_taken_in_at_once() -> None:
    def outcome(params: Params) -> Any:
        return "failed" if params["n"] == 3 else {"loss": params["y"] ** 2 + params["n"]}

    lab = Flights(MIXED, SwarmSampler(particles=6))
    seen = []
    for _ in range(100):
        lab.run(1, outcome)
        seen.append(lab.sampler.state(lab.snapshot))  # type: ignore[attr-defined]
    again, sampler, geometry = seen[-1], SwarmSampler(particles=6), Geometry.of(MIXED)
    other = Flights(MIXED, sampler)
    other.snapshot = lab.snapshot
    whole = sampler.grown(geometry, None, ended(lab), lab.snapshot)
    for name in ("velocity", "order", "links", "taken", "better"):
        assert np.array_equal(getattr(again, name), getattr(whole, name)), name
    for part in ("latest", "best"):
        for field in dataclasses.fields(Ended):
            one, two = getattr(getattr(again, part), field.name), getattr(getattr(whole, part), field.name)
            assert np.array_equal(one, two), (part, field.name)


def ended(lab: Lab) -> Ended:
    from taut.samplers.history import History

    return Ended.of(History.of(lab.snapshot))


def test_a_trial_belongs_to_its_particle() -> None:
    lab = Flights(PLANE, SwarmSampler(particles=4))
    first = [(lab.begin(params), params) for params in lab.ask(4)]
    for n, params in first[:2]:
        lab.end(n, params, {"loss": 1.0})
    # 2 and 3 are under way, so only 0 and 1 have a place to set out from.
    lab.ask(4)
    assert [lab.wanted[n]["particle"] for n in range(4, 8)] == [0, 1, 0, 1]
    lab.add({"x": 0.5, "y": 0.5}, {"loss": 0.5})
    assert lab.state.best.numbers.tolist() == lab.state.latest.numbers.tolist() == [4, 1, -1, -1]
    for n, params in first[2:]:
        lab.end(n, params, {"loss": 1.0})
    lab.ask(4)
    assert [lab.wanted[n]["particle"] for n in range(5, 9)] == [1, 2, 3, 0]


def test_a_late_trial_does_not_move_its_particle_back() -> None:
    lab = Flights(PLANE, SwarmSampler(particles=2))
    late = lab.begin({"x": 0.1, "y": 0.1})
    for x in (0.2, 0.3, 0.4):
        lab.add({"x": x, "y": x}, {"loss": x})
    lab.end(late, {"x": 0.1, "y": 0.1}, {"loss": 0.0})
    assert lab.state.latest.numbers.tolist() == [2, 3]
    assert lab.state.best.numbers.tolist() == [0, 1]  # but it may have been the best


def test_links_are_drawn_again_after_a_round_without_a_better_one() -> None:
    lab = Flights(PLANE, SwarmSampler(particles=5))
    drawn = []
    for loss in [3.0, 2.0, 2.0, 2.5, 2.5, 2.0, 2.0, 1.0, 1.5, 1.0, 1.5, 1.5, 1.0, 1.5]:
        lab.add({"x": 0.5, "y": 0.5}, {"loss": loss})
        drawn.append(lab.state.links.tobytes())
    changed = [i for i in range(1, len(drawn)) if drawn[i] != drawn[i - 1]]
    assert changed == [6, 12]


def test_failed_trials_and_broken_constraints_are_nobodys_best() -> None:
    lab = Flights(PLANE, SwarmSampler(particles=3), subject_to=("memory <= 1",))
    told: list[Any] = [
        {"loss": 1.0, "memory": 5.0},
        "failed",
        {"loss": 9.0, "memory": 2.0},
        {"loss": 5.0, "memory": 0.0},
        {"loss": 0.0, "memory": 3.0},
        "failed",
    ]
    for x, outcome in zip((0.1, 0.2, 0.3, 0.4, 0.5, 0.6), told, strict=True):
        lab.add({"x": x, "y": x}, outcome)
    state = lab.state
    assert state.best.numbers.tolist() == [3, 4, 2]
    assert state.latest.numbers.tolist() == [3, 4, 5]
    assert state.order.argsort().tolist() == [0, 2, 1]


def test_a_particle_that_only_failed_follows_the_others() -> None:
    lab = Flights(PLANE, SwarmSampler(particles=3))
    for x, outcome in ((0.1, "failed"), (0.6, {"loss": 1.0}), (0.9, "failed")):
        lab.add({"x": x, "y": x}, outcome)
    state = dataclasses.replace(lab.state, velocity=np.zeros((3, 2)))
    points, _ = moves(PLANE, state)
    centre = (0.1 + 0.1 + C * 0.5) / 2
    assert points.mean(axis=0) == pytest.approx([centre, centre], abs=0.01)


def test_velocities_from_before_the_space_was_extended_are_forgotten() -> None:
    lab = Flights(PLANE, SwarmSampler(particles=2))
    lab.wanted = {0: {"particle": 1, "velocity": [0.1, 0.1, 0.1]}, 1: {"of": "another method"}}
    for _ in range(2):
        lab.add({"x": 0.2, "y": 0.2}, {"loss": 1.0})
    assert lab.state.latest.numbers.tolist() == [-1, 1]
    assert (np.abs(lab.state.velocity[1] + 0.1 - 0.25) <= 0.25).all()  # half the way to anywhere


def test_several_objectives_spread_the_best_along_the_front() -> None:
    lab = Flights(PLANE, SwarmSampler(), objectives=("one", "two"))
    lab.run(300, lambda p: {"one": p["x"] ** 2 + p["y"], "two": (p["x"] - 1.0) ** 2 + p["y"]})
    best = lab.state.best.unit
    assert np.median(best[:, 1]) < 0.05 and np.ptp(best[:, 0]) > 0.5


def reached(objective: Callable[[Params], Any], budget: int, pending: int = 0, **options: Any) -> float:
    found = []
    for seed in range(5):
        lab = Flights(PLANE, SwarmSampler(**options))
        lab.run(budget, objective, seed=seed, pending=pending)
        found.append(min(lab.losses()))
    return float(np.median(found))


@pytest.mark.parametrize("pending, goal", [(0, 1e-5), (7, 1e-5), (40, 4e-4)])
def test_it_finds_the_bottom(pending: int, goal: float) -> None:
    assert reached(sphere, 300, pending) < goal  # random search comes to 7e-4


def test_a_valley_askew_is_as_good_as_a_straight_one() -> None:
    def straight(params: Params) -> dict[str, float]:
        return {"loss": 2.0 * (params["x"] - 0.4) ** 2 + 200.0 * (params["y"] - 0.3) ** 2}

    one, other = reached(askew, 200), reached(straight, 200)
    assert max(one, other) < 0.01 and 0.1 < one / other < 10.0


def test_it_finds_a_choice_and_what_depends_on_it() -> None:
    def outcome(params: Params) -> Any:
        if params["kind"] == "c":
            return "failed"
        inside = (params["x"] - 0.8) ** 2 + (params["bell"] - 9.0) ** 2 if params["kind"] == "a" else 0.5
        return {"loss": inside + (params["y"] - 0.2) ** 2 + 0.01 * abs(params["n"] - 5)}

    found = []
    for seed in range(5):
        lab = Flights(MIXED, SwarmSampler())
        lab.run(300, outcome, seed=seed, pending=3)
        found.append(min(lab.losses()))
    assert np.median(found) < 0.01


@pytest.mark.parametrize(
    "options", [{"particles": 1}, {"particles": 2.5}, {"particles": True}, {"informants": 0}]
)
def test_options_out_of_range_are_refused(options: Any) -> None:
    with pytest.raises(InputError, match="must be a whole number from"):
        SwarmSampler(**options)


def test_a_space_without_numbers_is_warned_about() -> None:
    assert "choices" in (SwarmSampler().warning(Space(kind=choice(["a", "b"]))) or "")
    assert SwarmSampler().warning(MIXED) is None
