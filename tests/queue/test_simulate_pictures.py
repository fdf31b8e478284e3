"""The six pictures of docs/planning.md: what they show is what the page says of them."""

from __future__ import annotations

import importlib.util
import re
import sys
from pathlib import Path
from types import ModuleType
from xml.etree import ElementTree

import pytest

DOCS = Path(__file__).parents[2] / "docs"


@pytest.fixture(scope="module")
def script() -> ModuleType:
    spec = importlib.util.spec_from_file_location("pictures_queue", DOCS / "pictures_queue.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


def test_the_pictures_that_are_kept_are_those_that_the_script_draws(script: ModuleType) -> None:
    drawn = script.pictures()
    assert set(drawn) == {
        f"queue_{name}" for name in ("short", "medium", "wide", "sequential", "batch", "async")
    }
    for name, svg in drawn.items():
        assert ElementTree.fromstring(svg).tag.endswith("svg")
        kept = (DOCS / "pictures" / f"{name}.svg").read_text(encoding="utf-8")
        assert re.findall(r">24 trials in [^<]*", kept) == re.findall(r">24 trials in [^<]*", svg), (
            "python docs/make_pictures.py draws it anew"
        )


def test_they_show_what_the_lecture_says(script: ModuleType) -> None:
    timelines = {name.removeprefix("queue_"): script.played(name)[0] for name in script.COURSES}

    def share(name: str, kind: str) -> float:
        ours = [bar for bar in timelines[name].bars if bar.kind != "other"]
        return sum(bar.end - bar.begin for bar in ours if bar.kind == kind) / sum(
            bar.end - bar.begin for bar in ours
        )

    def begin(name: str) -> float:
        return min(bar.begin for bar in timelines[name].bars if bar.kind == "overhead")

    assert share("short", "overhead") > 0.35 > 2 * share("sequential", "overhead")
    assert share("medium", "overhead") < 0.6 * share("short", "overhead")
    assert begin("wide") > begin("medium") + 1800.0  # it waits for a hole of its size
    assert len(timelines["short"].submitted) == 24 and len(timelines["wide"].submitted) == 1
    for name, course in timelines.items():
        assert {bar.kind for bar in course.bars} >= {"other", "overhead", "useful"}, name
        assert sorted({bar.trial for bar in course.bars if bar.kind == "useful"}) == list(range(24)), name
