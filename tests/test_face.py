"""`import taut` is a small, honest and light face."""

from __future__ import annotations

import importlib
import os
import subprocess
import sys
from pathlib import Path

import taut

SRC = Path(__file__).parents[1] / "src"


def python(code: str) -> str:
    env = {**os.environ, "PYTHONPATH": str(SRC)}
    return subprocess.run(
        [sys.executable, "-c", code], env=env, capture_output=True, text=True, check=True
    ).stdout.strip()


def test_every_public_name_is_there_and_is_what_its_home_defines() -> None:
    assert sorted(taut.__all__) == taut.__all__
    assert set(taut.__all__) == set(taut._HOME) | {"__version__"}
    for name, home in taut._HOME.items():
        assert getattr(taut, name) is getattr(importlib.import_module(home), name)
        assert name in dir(taut)


def test_type_checkers_see_the_same_names() -> None:
    text = (SRC / "taut" / "__init__.py").read_text()
    static = text.split("if TYPE_CHECKING:")[1].split("__version__")[0]
    for name, home in taut._HOME.items():
        assert home in static and name in static


def test_import_loads_nothing_heavy() -> None:
    loaded = python("import sys, taut; print(*sorted({m.partition('.')[0] for m in sys.modules}))").split()
    assert not {"numpy", "scipy", "click", "rich", "msgspec"} & set(loaded)


def test_a_study_needs_no_scipy_click_or_rich() -> None:
    code = (
        "import sys, taut\n"
        "study = taut.Study(None, taut.Space(x=taut.uniform(0, 1)), minimize='y', sampler='random')\n"
        "study.run(lambda x: x, trials=3)\n"
        "print(*sorted({m.partition('.')[0] for m in sys.modules}))"
    )
    assert not {"scipy", "click", "rich", "cloudpickle"} & set(python(code).split())


def test_an_unknown_name_is_an_attribute_error() -> None:
    assert python("import taut\ntry: taut.nope\nexcept AttributeError as e: print(e)") == (
        "module 'taut' has no attribute 'nope'"
    )
