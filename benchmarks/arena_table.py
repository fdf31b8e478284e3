"""A table of what an arena measured: mean regrets, ranks, CPU seconds, and paired differences with intervals.

    python benchmarks/arena_table.py ours.jsonl peers.jsonl --ours "arena_adapter:Taut?method=auto"

Files hold one JSON object a line: ``opt``, ``problem``, ``seed``, ``mode``, ``score`` (budget mark -> normalised regret,
less is better), ``overhead_cpu`` (seconds of all asks and tells), ``budget``. Lines with an ``error`` are counted and left out; of a run that stands there
twice, the last line counts.

Runs are paired by problem and seed. A difference is ours minus the other's, on the runs that both have, with every problem
weighing the same; its interval comes from a bootstrap that draws problems and then seeds within each of them: seeds
of a problem are no independent evidence about other problems. *won*, *lost*: problems whose mean difference is below or above 0.
"""

from __future__ import annotations

import argparse
import json
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from common import table
from numpy.typing import NDArray

__all__ = ["interval", "main", "paired"]

Run = tuple[str, int]  # a problem, a seed
Runs = dict[Run, dict[str, Any]]
Floats = NDArray[np.float64]

WORST = 3.0  # regrets are clipped to [0, WORST]: one run in which all went wrong is not to drown the others


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("files", nargs="+", type=Path)
    parser.add_argument(
        "--ours", help="the optimizer whose differences to the others are shown (a unique part of its name)"
    )
    parser.add_argument(
        "--only", nargs="+", default=[], help="show these optimizers (parts of names; with --ours)"
    )
    parser.add_argument(
        "--marks", nargs="+", type=int, help="budgets to show (default: all that every optimizer has)"
    )
    parser.add_argument(
        "--problems", nargs="+", default=[], help="parts of problem names to keep (default: all)"
    )
    parser.add_argument(
        "--each", action="store_true", help="also the mean regret on every problem, at the last mark"
    )
    parser.add_argument(
        "--missing",
        choices=["no", "ok"],
        default="no",
        help="ok: compare each pair on the runs that both have, instead of all on the runs common to all",
    )
    parser.add_argument("--draws", type=int, default=10_000, help="of the bootstrap")
    options = parser.parse_args()
    for mode, found in _read(options.files, options.problems).items():
        chosen = _chosen(found, options.only, options.ours)
        ours = _one(chosen, options.ours) if options.ours else None
        print(f"\n### {mode}\n")
        _report(chosen, ours, options)


def _report(found: Mapping[str, Runs], ours: str | None, options: argparse.Namespace) -> None:
    common = sorted(set.intersection(*(set(runs) for runs in found.values())))
    names = _short(found)
    counts = ", ".join(f"{names[opt]} {len(runs)}" for opt, runs in found.items())
    print(f"Runs: {counts}; common to all: {len(common)} on {len({run[0] for run in common})} problems.\n")
    marks = options.marks or _marks(found)
    if not marks:
        raise SystemExit("no budget mark is common to all runs; give some with --marks")
    if common:
        print(_overview(found, common, marks, names))
    if ours is None:
        return
    rows = []
    for mark in marks:
        for other, runs in found.items():
            if other == ours:
                continue
            shared = sorted(set(found[ours]) & set(runs)) if options.missing == "ok" else common
            groups = paired(found[ours], runs, shared, mark)
            if not groups:
                continue
            means = np.array([group.mean() for group in groups.values()])
            low, high = interval(list(groups.values()), options.draws)
            rows.append(
                [
                    names[other],
                    mark,
                    f"{means.mean():+.3f}",
                    f"{low:+.3f} .. {high:+.3f}",
                    "better" if high < 0 else "worse" if low > 0 else "open",
                    f"{(means < -1e-9).sum()} / {(means > 1e-9).sum()}",
                    f"{len(groups)} x {sum(map(len, groups.values())) / len(groups):.1f}",
                ]
            )
    print(f"\n{names[ours]} minus the other:\n")
    print(table(["against", "at", "difference", "95 % interval", "", "won / lost", "problems x seeds"], rows))
    if options.each and common:
        print(f"\n{_each(found, common, marks[-1], names)}")


def _overview(
    found: Mapping[str, Runs], common: Sequence[Run], marks: Sequence[int], names: Mapping[str, str]
) -> str:
    """One row for each optimizer, over the runs that all of them have; the best at the last mark first."""
    columns = [
        "on the runs common to all",
        *(f"@{m}" for m in marks),
        *(f"rank@{m}" for m in marks),
        "CPU s/trial",
    ]
    regrets = {
        mark: np.array([[_regret(runs[run], mark) for runs in found.values()] for run in common])
        for mark in marks
    }
    ranks = {mark: np.mean([_ranks(row) for row in regrets[mark]], axis=0) for mark in marks}
    weights = _weights(common)
    order = np.argsort(weights @ regrets[marks[-1]])
    rows = []
    for j in order:
        opt = list(found)[j]
        seconds = np.mean([found[opt][run]["overhead_cpu"] / found[opt][run]["budget"] for run in common])
        rows.append(
            [
                names[opt],
                *(f"{weights @ regrets[mark][:, j]:.3f}" for mark in marks),
                *(f"{ranks[mark][j]:.2f}" for mark in marks),
                f"{seconds:.4f}",
            ]
        )
    return table(columns, rows)


def _each(found: Mapping[str, Runs], common: Sequence[Run], mark: int, names: Mapping[str, str]) -> str:
    problems = dict.fromkeys(problem for problem, _ in common)
    rows = [
        [
            problem,
            *(
                f"{np.mean([_regret(runs[run], mark) for run in common if run[0] == problem]):.3f}"
                for runs in found.values()
            ),
        ]
        for problem in problems
    ]
    return table([f"regret@{mark}", *(names[opt] for opt in found)], rows)


def paired(ours: Runs, other: Runs, shared: Iterable[Run], mark: int) -> dict[str, Floats]:
    """For each problem the differences of regret at `mark`, ours minus the other's, seed by seed."""
    groups: dict[str, list[float]] = defaultdict(list)
    for run in shared:
        difference = _regret(ours[run], mark) - _regret(other[run], mark)
        if np.isfinite(difference):
            groups[run[0]].append(difference)
    return {problem: np.array(group) for problem, group in groups.items()}


def interval(groups: Sequence[Floats], draws: int = 10_000, seed: int = 0) -> tuple[float, float]:
    """95 % interval of the mean over problems: draws problems, and then seeds within each of them."""
    rng = np.random.default_rng(seed)
    counts = np.array([len(group) for group in groups])
    padded = np.zeros((len(groups), counts.max()))
    for row, group in zip(padded, groups, strict=True):
        row[: len(group)] = group
    means = np.empty(draws)
    for i in range(draws):
        problem = rng.integers(len(groups), size=len(groups))
        size = counts[problem]
        seeds = (rng.random((len(groups), counts.max())) * size[:, None]).astype(np.int64)
        drawn = padded[problem[:, None], seeds]
        used = np.arange(counts.max()) < size[:, None]  # a problem is drawn with as many seeds as it has
        means[i] = ((drawn * used).sum(axis=1) / size).mean()
    low, high = np.quantile(means, [0.025, 0.975])
    return float(low), float(high)


def _regret(run: Mapping[str, Any], mark: int) -> float:
    return float(np.clip(run["score"].get(str(mark), np.nan), 0.0, WORST))


def _weights(runs: Sequence[Run]) -> Floats:
    """What each run counts, such that all problems count the same."""
    count: dict[str, int] = defaultdict(int)
    for problem, _ in runs:
        count[problem] += 1
    return np.array([1.0 / (count[problem] * len(count)) for problem, _ in runs])


def _ranks(row: Floats) -> Floats:
    """1 for the least; what is equal shares the mean of its ranks."""
    rounded = np.round(row, 9)
    below = (rounded[None, :] < rounded[:, None]).sum(axis=1)
    same = (rounded[None, :] == rounded[:, None]).sum(axis=1)
    return np.asarray(below + (same + 1) / 2)


def _read(files: Iterable[Path], problems: Sequence[str]) -> dict[str, dict[str, Runs]]:
    """Runs by mode, optimizer, and (problem, seed)."""
    found: dict[str, dict[str, Runs]] = defaultdict(lambda: defaultdict(dict))
    wrong: dict[tuple[str, str, str], int] = defaultdict(int)
    for path in files:
        for line in path.read_text().splitlines():
            try:
                run = json.loads(line)
            except ValueError:
                continue  # the last line of a file that is being written
            if problems and not any(part in run["problem"] for part in problems):
                continue
            if "score" in run:
                found[run["mode"]][run["opt"]][run["problem"], run["seed"]] = run
            else:
                wrong[run["mode"], run["opt"], str(run["error"])[:80]] += 1
    for (mode, opt, error), count in wrong.items():
        print(f"{mode}, {opt}: {count} runs ended in an error: {error}")
    return found


def _chosen(found: Mapping[str, Runs], only: Sequence[str], ours: str | None) -> dict[str, Runs]:
    parts = [*only, *([ours] if ours else [])]
    return {opt: runs for opt, runs in found.items() if not only or any(part in opt for part in parts)}


def _one(found: Mapping[str, Runs], part: str) -> str:
    fitting = [part] if part in found else [opt for opt in found if part in opt]
    if len(fitting) != 1:
        raise SystemExit(f"--ours {part} fits {len(fitting)} of: {', '.join(found)}")
    return fitting[0]


def _marks(found: Mapping[str, Runs]) -> list[int]:
    """Budgets that every run of every optimizer has."""
    sets = [{int(mark) for mark in run["score"]} for runs in found.values() for run in runs.values()]
    return sorted(set.intersection(*sets))


def _short(found: Iterable[str]) -> dict[str, str]:
    """Names for a table: of ours only what was asked of it."""
    return {
        opt: "taut " + opt.partition("?")[2].removeprefix("method=") if "Taut" in opt else opt
        for opt in found
    }


if __name__ == "__main__":
    main()
