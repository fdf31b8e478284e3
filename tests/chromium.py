"""A real browser for tests: pages as Chromium shows them. `./run-tests` installs it on Debian; elsewhere these tests are skipped."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

__all__ = ["Chromium", "chromium"]

_NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
_QUIET = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--hide-scrollbars",
)


class Chromium:
    """A browser that opens one page for each question. profile: a directory of its own, where cookies stay from one to the next."""

    def __init__(self, profile: Path) -> None:
        found = [path for name in _NAMES if (path := shutil.which(name))]
        if not found:
            pytest.skip("no Chromium is installed: apt-get install chromium")
        self._command = [found[0], *_QUIET, f"--user-data-dir={profile}"]

    def dom(self, url: str, settle: int = 5000) -> str:
        """The page's elements as HTML, once its scripts had `settle` milliseconds of its own clock."""
        return self._run(f"--virtual-time-budget={settle}", "--dump-dom", url)

    def screenshot(
        self, url: str, file: Path, width: int = 1280, height: int = 900, settle: int = 5000
    ) -> Path:
        """A picture of the page, as PNG."""
        size, budget = f"--window-size={width},{height}", f"--virtual-time-budget={settle}"
        self._run(size, budget, f"--screenshot={file}", url)
        assert file.is_file(), "Chromium made no picture"
        return file

    def _run(self, *arguments: str) -> str:
        ran = subprocess.run([*self._command, *arguments], capture_output=True, text=True, timeout=100)
        assert ran.returncode == 0, ran.stderr[-2000:]
        return ran.stdout


@pytest.fixture
def chromium(tmp_path: Path) -> Chromium:
    """Import it into a test's module to have it there."""
    return Chromium(tmp_path / "chromium")
