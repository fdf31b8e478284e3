"""How long a process needs that imports taut, or shows the command's help.

python benchmarks/imports.py
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import time
from collections.abc import Callable

import common

ABOVE_NUMPY = 60.0  # ms
HELP = 300.0  # ms
PROGRAMS = {
    "python": ["-c", "pass"],
    "import numpy": ["-c", "import numpy"],
    "import taut": ["-c", "import taut"],
    "import taut; taut.Study": ["-c", "import taut; taut.Study"],
    "import optuna": ["-c", "import optuna"],
    "taut --help": ["-m", "taut", "--help"],
}
_A_STUDY = """
import sys, taut
study = taut.Study(None, taut.Space(x=taut.uniform(0, 1), n=taut.loguniform_int(1, 9)), minimize="loss", sampler="random")
study.tell(study.ask(), loss=1.0)
print(*sorted({name.partition(".")[0] for name in sys.modules} & {"scipy", "pandas", "click", "rich"}))
"""


def runs(arguments: list[str]) -> bool:
    return subprocess.run([sys.executable, *arguments], capture_output=True, check=False).returncode == 0


def process(arguments: list[str]) -> Callable[[], float]:
    """Milliseconds that a whole process takes."""

    def run() -> float:
        begin = time.perf_counter()
        subprocess.run([sys.executable, *arguments], stdout=subprocess.DEVNULL, check=True)
        return (time.perf_counter() - begin) * 1e3

    return run


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=11)
    options = parser.parse_args()

    programs = {name: arguments for name, arguments in PROGRAMS.items() if runs(arguments)}
    found = common.times({name: process(arguments) for name, arguments in programs.items()}, options.rounds)
    numpy, optuna = found["import numpy"], found.get("import optuna", float("nan"))
    rows = []
    for name in PROGRAMS:
        if name not in found:
            rows.append((name, "does not run", "", "", "", ""))
            continue
        spent = found[name]
        goal, reached = "", ""
        if name.startswith("import taut"):
            goal, reached = (
                f"<= numpy + {ABOVE_NUMPY:.0f}",
                common.met(spent, numpy + ABOVE_NUMPY, at_most=True),
            )
        elif name == "taut --help":
            goal, reached = f"<= {HELP:.0f}", common.met(spent, HELP, at_most=True)
        rows.append((name, f"{spent:.0f}", f"{spent - numpy:+.0f}", f"{spent / optuna:.2f}", goal, reached))
    print(common.header(f"Whole processes, medians of {options.rounds}"))
    print(common.table(("", "ms", "above numpy, ms", "/ Optuna", "goal", "met"), rows))
    heavy = subprocess.run(
        [sys.executable, "-c", _A_STUDY], capture_output=True, text=True, check=True
    ).stdout.strip()
    print(
        f"\nHeavy modules loaded after a first ask and tell of the random sampler (goal: none): {heavy or 'none'}"
    )


if __name__ == "__main__":
    main()
