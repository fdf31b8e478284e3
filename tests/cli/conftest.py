from __future__ import annotations

from pathlib import Path

import pytest
from cli_home import Home


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return Home(tmp_path / "project")


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Home:
    """A finished study of four trials; for looking at only."""
    home = Home(tmp_path_factory.mktemp("finished") / "project")
    home.taut("run", "study.toml")
    return home
