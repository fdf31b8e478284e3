"""What every test gets."""

from __future__ import annotations

import os
from collections.abc import Iterator

import hypothesis
import pytest

hypothesis.settings.register_profile(
    "untimed", deadline=None
)  # how long an example takes depends on what else runs here
hypothesis.settings.load_profile("untimed")


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
