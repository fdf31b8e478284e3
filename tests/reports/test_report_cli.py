"""`taut report` as a user meets it: what it writes, what it refuses, and that it follows a running study."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

import taut
from taut.reports.page import MARK

pytest.importorskip("plotly")
SOURCE = Path(taut.__file__).resolve().parents[1]


def command(*words: str, cwd: Path) -> subprocess.Popen[str]:
    environment = {**os.environ, "PYTHONPATH": str(SOURCE)}
    return subprocess.Popen(
        [sys.executable, "-m", "taut", *words],
        cwd=cwd,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def report(*words: str, cwd: Path, code: int = 0) -> tuple[str, str]:
    process = command("report", *words, cwd=cwd)
    out, err = process.communicate(timeout=60)
    assert process.returncode == code, (out, err)
    assert "Traceback" not in err
    return out, err


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """A directory with a study of five trials, one of which failed."""
    space = taut.Space(x=taut.uniform(0, 1))
    with taut.Study(tmp_path / "demo", space, minimize="loss", subject_to="loss <= 0.9") as study:
        for trial in study.ask(5):
            if trial.number == 3:
                study.fail(trial, "no more memory")
            else:
                study.tell(trial, loss=trial.params["x"])
    return tmp_path


def summary(page: Path) -> str:
    return page.read_text().partition("<main>")[2].partition('id="charts"')[0]


def test_a_report_is_one_file_in_the_study(home: Path) -> None:
    before = {path for path in (home / "demo").rglob("*")}
    out, _ = report("demo", cwd=home)
    page = home / "demo" / "report.html"
    assert out == f"{page}: 5 trials\n"
    assert {path for path in (home / "demo").rglob("*")} - before == {page}
    text = summary(page)
    assert "minimize loss, subject to loss &lt;= 0.9" in text
    assert "5 finished (4 complete, 1 failed)" in text
    assert "that keep the constraints" in text
    assert "not checked: taut verify demo" in text
    assert "once:</strong> no more memory" in page.read_text()


def test_it_is_written_over_and_the_study_is_as_it_was(home: Path) -> None:
    report("demo", "--to", "a.html", "--verify", cwd=home)
    assert "yes: all 5 suggestions came out again" in summary(home / "a.html")
    with taut.Study(home / "demo") as study:
        study.tell(study.ask(), loss=0.0)
    report("demo", "--to", "a.html", cwd=home)
    assert "6 finished" in summary(home / "a.html")
    assert not list(home.glob(".*.part"))
    assert not (home / "demo" / "report.html").exists()


def test_what_is_not_ours_is_left_alone(home: Path) -> None:
    (home / "thesis.html").write_text("years of work")
    _, err = report("demo", "--to", "thesis.html", cwd=home, code=2)
    assert err == "taut: --to: thesis.html exists and is no report of taut; choose another file\n"
    assert (home / "thesis.html").read_text() == "years of work"
    _, err = report("demo", "--to", "demo", cwd=home, code=2)
    assert "is a directory; give the name of a file, such as demo/report.html" in err
    _, err = report("demo", "--to", "no/where.html", cwd=home, code=2)
    assert "no is not a directory; make it first" in err
    _, err = report("nothing", cwd=home, code=2)
    assert "there is no such study" in err
    (home / "empty").mkdir()
    _, err = report("empty", cwd=home, code=2)
    assert "holds no study" in err
    assert sorted(path.name for path in home.iterdir()) == ["demo", "empty", "thesis.html"]


def test_what_cannot_be_seen_is_shown_and_nothing_turns_the_page(home: Path) -> None:
    with taut.Study(home / "demo") as study:
        study.fail(study.ask(), "killed \x1b[31mby\x00 \u202egnp.exe")
    report("demo", cwd=home)
    page = (home / "demo" / "report.html").read_text()
    assert "killed \u241b[31mby\u2400 \ufffdgnp.exe" in page
    assert not any(letter in page for letter in "\x1b\x00\u202e")


def test_a_link_that_leads_nowhere_is_not_followed(home: Path) -> None:
    (home / "a.html").symlink_to(home / "b.html")
    _, err = report("demo", "--to", "a.html", cwd=home, code=2)
    assert "is no report of taut" in err and not (home / "b.html").exists()


def test_without_plotly_it_says_how_to_get_it(home: Path) -> None:
    (home / "plotly").mkdir()
    (home / "plotly" / "__init__.py").write_text("raise ModuleNotFoundError('plotly')")
    process = command("report", "demo", cwd=home)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 2 and "pip install 'taut[report]'" in err
    assert not (home / "demo" / "report.html").exists()


def test_a_watched_page_follows_and_ends_with_the_study(home: Path) -> None:
    page = home / "demo" / "report.html"
    with taut.Study(home / "demo", trials=7) as study:
        process = command("report", "demo", "--watch", "--verify", cwd=home)
        try:
            wait_for(page.exists)
            assert 'http-equiv="refresh"' in page.read_text()
            for _ in range(2):
                study.tell(study.ask(), loss=0.1)
            out, err = process.communicate(timeout=60)
        finally:
            process.kill()
    assert process.returncode == 0, err
    assert "follows the study until it is done" in out
    text = page.read_text()
    assert 'http-equiv="refresh"' not in text and "7 of 7 finished" in text and MARK in text
    assert "yes: all 7 suggestions came out again" in summary(page), (
        "each page is verified, the last one, too"
    )
    assert [path.name for path in (home / "demo").glob("*report*")] == ["report.html"], "no draft is left"


def test_whoever_stops_watching_leaves_a_page_that_rests(home: Path) -> None:
    page = home / "demo" / "report.html"
    process = command("report", "demo", "--watch", cwd=home)
    try:
        wait_for(page.exists)
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=60)
    finally:
        process.kill()
    assert process.returncode == 130 and "Traceback" not in err
    assert 'http-equiv="refresh"' not in page.read_text()


def wait_for(condition: object, seconds: float = 30.0) -> None:
    assert callable(condition)
    until = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < until, "it did not happen"
        time.sleep(0.02)
