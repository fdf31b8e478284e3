"""A directory of scripts, and `taut init` in it."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from drafting import Desk


@pytest.fixture
def desk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Desk:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PATH", f"{Path(sys.executable).parent}:/usr/bin:/bin")
    return Desk(tmp_path)
