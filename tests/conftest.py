"""What every test gets."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import hypothesis
import pytest

hypothesis.settings.register_profile(
    "untimed", deadline=None
)  # how long an example takes depends on what else runs here
hypothesis.settings.load_profile("untimed")

# Which tests may run side by side, when they run in several processes (`-n`): those of one cluster share it and stay together,
# those that only compute go wherever there is room, and the others stay with their file.
CLUSTER = ("slurm", "hq")
APART = (
    "catalogue",
    "cli",
    "integrations",
    "metrics",
    "pruners",
    "queue",
    "reports",
    "samplers",
    "space",
    "starting",
)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Say of each test with which others it stays."""
    for item in items:
        place = item.path.relative_to(Path(__file__).parent)
        if place.parts[0] not in APART:
            item.add_marker(pytest.mark.xdist_group("cluster" if place.parts[0] in CLUSTER else str(place)))


@pytest.fixture(autouse=True)
def _environment_as_before() -> Iterator[None]:
    """Dask leaves its own thread limits behind; then processes started later would compute otherwise than this one."""
    before = dict(os.environ)
    yield
    for name in {*before, *os.environ} - {"PYTEST_CURRENT_TEST"}:
        if name not in before:
            del os.environ[name]
        elif os.environ.get(name) != before[name]:
            os.environ[name] = before[name]
