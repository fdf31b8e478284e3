"""Multi-fidelity tuners against the clock: regret after so much simulated time, and the time until random search is beaten.

    PYTHONPATH=benchmarks:ARENA python benchmarks/arena_time.py run --opts NAME,NAME --problems id,id --seeds 10 --out runs.jsonl
    python benchmarks/arena_time.py table runs.jsonl [more.jsonl] --reference syne_asha

`run` drives an arena's problems and tuners (its modules `arena` and `problems`, as in `arena_adapter.py`) with k workers on a virtual
clock: a worker that continues a configuration where it stopped pays for the steps in between, where the problem can resume. One unit of
time is what one whole training of an average configuration takes, divided by the workers. `table` prints mean regrets after 10 and 25
units, and how long it took to reach what random search has after 50 whole trainings (its median): the geometric mean of the ratio to the
`reference` tuner on the same problem and seed, with a bootstrap interval over problems; who never got there is counted with the
time at which the run ended.
"""

from __future__ import annotations

import argparse
import heapq
import json
from pathlib import Path
from typing import Any

import numpy as np
from common import table

MARKS = (10, 25)
WORST = 3.0  # regrets are clipped to [0, WORST]
SAMPLES = 64  # configurations that the unit of time is measured on
LONGEST = 25.0  # units of time that a run may take


def drive(arena: Any, name: str, problem: Any, seed: int, workers: int) -> dict[str, Any]:
    """One run until `LONGEST` units are over: regrets at the marks, and when the level of random search was reached."""
    import problems

    levels, stats = problem.fid["levels"], problem.stats
    rng = np.random.default_rng(30_000 + seed)
    whole = [
        problem.evaluate(problems.sample(problem.space, rng), levels[-1], rng)["runtime"]
        for _ in range(SAMPLES)
    ]
    unit = float(np.mean(whole)) / workers
    arena.prep(name)
    tuner = arena.make(
        name, problem.space, seed, LONGEST, parallel=workers, fidelity=problem.fid, n_obj=1, n_con=0
    )
    reached: dict[str, int] = {}
    trace: list[tuple[float, float]] = []
    heap: list[tuple[float, int, int, Any, str, int, float]] = []
    busy: set[int] = set()
    now, best, tick = 0.0, np.inf, 0
    while now < LONGEST * unit:
        for worker in set(range(workers)) - busy:
            asked = tuner.mf_ask(worker)
            if asked is None:
                continue
            config, level = asked
            clean = arena.clean(problem.space, config)
            key = json.dumps(clean, sort_keys=True, default=str)
            found = problem.evaluate(clean, levels[level], rng)
            done = reached.get(key, -1) if problem.fid["resume"] else -1
            part = max(0.0, 1.0 - (levels[done] / levels[level] if done >= 0 else 0.0))
            tick += 1
            busy.add(worker)
            heapq.heappush(
                heap, (now + found["runtime"] * part, tick, worker, config, key, level, found["obs"])
            )
        now, _, worker, config, key, level, value = heapq.heappop(heap)
        busy.discard(worker)
        reached[key] = max(level, reached.get(key, -1))
        if value < best:
            best = value
            trace.append((now / unit, best))
        tuner.mf_tell(worker, config, level, value)
        if tick > 5000 * workers:
            break
    span = max(1e-12, stats["rs10"] - stats["best"])
    score = {
        str(mark): float(
            np.clip(
                (min([b for t, b in trace if t <= mark], default=np.inf) - stats["best"]) / span, 0, WORST
            )
        )
        for mark in MARKS
    }
    reach = next((t for t, b in trace if b <= stats["rs50"]), None)
    return {"opt": name, "problem": problem.id, "seed": seed, "score": score, "reach": reach}


def run(options: argparse.Namespace) -> None:
    import arena
    import problems

    wanted = options.problems.split(",")
    chosen = [problems.Problem(each) for each in problems.load_index()["problems"] if each["id"] in wanted]
    with options.out.open("a") as file:
        for seed in range(options.seed0, options.seed0 + options.seeds):
            for problem in chosen:
                for name in options.opts.split(","):
                    found = drive(arena, name, problem, seed, options.workers)
                    file.write(json.dumps(found) + "\n")
                    file.flush()


def show(options: argparse.Namespace) -> None:
    runs: dict[str, dict[tuple[str, int], dict[str, Any]]] = {}
    for path in options.files:
        for line in path.read_text().splitlines():
            each = json.loads(line)
            runs.setdefault(each["opt"], {})[each["problem"], each["seed"]] = each
    common = sorted(set.intersection(*map(set, runs.values())))
    problems = sorted({problem for problem, _ in common})
    rng = np.random.default_rng(0)
    draws = rng.integers(len(problems), size=(2000, len(problems)))
    reference = next(name for name in runs if options.reference in name)
    rows = []
    for name, mine in runs.items():
        took = np.array(
            [
                np.mean(
                    [
                        np.log(_reach(mine[key]) / _reach(runs[reference][key]))
                        for key in common
                        if key[0] == problem
                    ]
                )
                for problem in problems
            ]
        )
        low, high = np.exp(np.quantile(took[draws].mean(axis=1), [0.025, 0.975]))
        regret = [f"{np.mean([mine[key]['score'][str(mark)] for key in common]):.3f}" for mark in MARKS]
        arrived = np.mean([mine[key]["reach"] is not None for key in common])
        rows.append((name, *regret, f"{arrived:.0%}", f"{np.exp(took.mean()):.2f} ({low:.2f} .. {high:.2f})"))
    print(f"{len(common)} runs common to all, {len(problems)} problems")
    print(
        table(
            ("", *(f"@{mark}" for mark in MARKS), "beat random-50", f"time until then / {options.reference}"),
            rows,
        )
    )


def _reach(found: dict[str, Any]) -> float:
    return LONGEST if found["reach"] is None else max(float(found["reach"]), 1e-3)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    commands = parser.add_subparsers(required=True)
    runner = commands.add_parser("run")
    runner.add_argument("--opts", required=True)
    runner.add_argument("--problems", required=True)
    runner.add_argument("--seeds", type=int, default=10)
    runner.add_argument("--seed0", type=int, default=0)
    runner.add_argument("--workers", type=int, default=4)
    runner.add_argument("--out", type=Path, required=True)
    runner.set_defaults(do=run)
    shower = commands.add_parser("table")
    shower.add_argument("files", nargs="+", type=Path)
    shower.add_argument("--reference", required=True)
    shower.set_defaults(do=show)
    options = parser.parse_args()
    options.do(options)


if __name__ == "__main__":
    main()
