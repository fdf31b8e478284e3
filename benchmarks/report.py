"""The report of a large study: how long it takes to write, how large it is, and how soon a real Chromium shows it.

python benchmarks/report.py [--trials 20000]

Needs Plotly, and Chromium for the last part. The page is opened from disk with a cold profile.
"""

from __future__ import annotations

import argparse
import math
import statistics
import sys
import tempfile
import time
from pathlib import Path

import common
import numpy as np

import taut
from taut.definition import Definition, Method, Objective
from taut.events import Event, Finished, Reported, Started
from taut.fidelity import Fidelity
from taut.liveness import introduce
from taut.pruners.halving import AshaPruner
from taut.reports.facts import Facts, Pick
from taut.reports.page import page
from taut.savings import savings
from taut.snapshot import Snapshot

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests" / "report"))

WORKERS, BEGIN = 16, 1_700_000_000.0
LARGEST, LONGEST = 10.0, 2.0  # MB and seconds


def study(trials: int) -> tuple[Snapshot, AshaPruner]:
    """Ten parameters, one of them conditional; 16 workers; most trials stop at the first rungs, and some fail."""
    names = [f"x{i}" for i in range(7)]
    space = taut.Space(
        {
            "learning_rate": taut.loguniform(1e-5, 1e-1),
            "optim": taut.choice(["adam", "sgd"]),
            "momentum": taut.uniform(0, 0.99, when="optim == 'sgd'"),
            **{name: taut.uniform(0, 1) for name in names},
        }
    )
    fidelity = Fidelity("epoch", max=27.0)
    asked = Definition(
        "large", space.to_json(), [Objective("loss")], pruner=Method("asha"), fidelity=fidelity
    )
    snapshot = Snapshot(asked, space)
    units = np.random.default_rng(0).random((trials, len(space)))
    logs: list[list[Event]] = [[introduce(BEGIN)] for _ in range(WORKERS)]
    clocks = [BEGIN + 30.0] * WORKERS
    for n, params in enumerate(space.params(space.quantile(units))):
        writer = n % WORKERS
        log, t = logs[writer], clocks[writer]
        log.append(Started(n=n, a=0, x=params, r=0, c=n + 1, t=t))
        last = 27 if n % 27 == 0 else 9 if n % 9 == 0 else 3 if n % 3 == 0 else 1
        loss = abs(math.log10(params["learning_rate"]) + 3) + params["x0"] ** 2
        for epoch in (e for e in (1, 3, 9, 27) if e <= last):
            t += 10.0 * epoch
            log.append(Reported(n=n, a=0, s=float(epoch), y={"loss": loss + 1 / epoch}, t=t))
        if n % 41 == 40:
            error = f"Traceback\nOutOfMemoryError: tried to allocate {n} MiB"
            log.append(Finished(n=n, a=0, state="failed", y={}, t=t + 1, error=error))
        elif last == 27:
            log.append(
                Finished(n=n, a=0, state="complete", y={"loss": loss, "seconds": t - clocks[writer]}, t=t + 1)
            )
        else:
            log.append(Finished(n=n, a=0, state="pruned", y={}, t=t + 1))
        clocks[writer] = t + 2.0
    for writer, log in enumerate(logs):
        snapshot.apply(writer, log)
    return snapshot, AshaPruner()


def written(snapshot: Snapshot, pruner: AshaPruner, path: Path) -> float:
    """Seconds to make the page and write it."""
    begin = time.perf_counter()
    now = BEGIN + 1e6
    saved = savings(snapshot, pruner, now)
    facts = Facts(
        now,
        (("goal", "minimize loss"),),
        (Pick("best", int(snapshot.completed[0]), "for the benchmark"),),
        savings=saved,
    )
    path.write_text(page(snapshot, pruner, facts), encoding="utf-8")
    return time.perf_counter() - begin


def shown(path: Path) -> dict[str, float]:
    """Seconds after the navigation began; the last two after somebody scrolled to the figures, and typed."""
    from tab import tab

    with tab() as chromium:
        chromium.open(path)
        chromium.wait("performance.getEntriesByName('first-contentful-paint').length")
        paint = chromium.evaluate("performance.getEntriesByName('first-contentful-paint')[0].startTime")
        ready = chromium.evaluate("performance.getEntriesByType('navigation')[0].domContentLoadedEventEnd")
        begin = time.perf_counter()
        chromium.evaluate("document.querySelector('.plot').scrollIntoView()")
        chromium.wait("document.querySelector('.plot').dataset.drawn", 60)
        drawn = time.perf_counter() - begin
        search = (
            "(async () => { const box = document.getElementById('search'), begin = performance.now(); box.value = 'failed';"
            "const told = document.getElementById('counted'), before = told.textContent; box.dispatchEvent(new Event('input'));"
            "while (told.textContent === before) await new Promise(requestAnimationFrame); return performance.now() - begin; })()"
        )
        return {
            "paint": paint / 1e3,
            "ready": ready / 1e3,
            "figure": drawn,
            "search": chromium.evaluate(search) / 1e3,
        }


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--trials", type=int, default=20_000)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    rows = []
    with tempfile.TemporaryDirectory(prefix="taut-benchmark-") as folder:
        for trials in (1, options.trials):
            snapshot, pruner = study(trials)
            path = Path(folder) / f"{trials}.html"
            seconds = statistics.median(written(snapshot, pruner, path) for _ in range(options.rounds))
            found = [shown(path) for _ in range(options.rounds)]
            times = {name: statistics.median(each[name] for each in found) for name in found[0]}
            size = path.stat().st_size / 1e6
            good = size < LARGEST and max(times["paint"], times["ready"]) < LONGEST
            row = (trials, f"{size:.1f}", f"{seconds:.1f}", *(f"{each:.2f}" for each in times.values()))
            rows.append((*row, f"< {LARGEST:g} MB, < {LONGEST:g} s", "yes" if good else "NO"))
    print(common.header("The report in Chromium"))
    columns = (
        "trials",
        "size, MB",
        "written in, s",
        "first paint, s",
        "ready, s",
        "first figure, s",
        "search, s",
        "goal",
        "met",
    )
    print(common.table(columns, rows))


if __name__ == "__main__":
    main()
