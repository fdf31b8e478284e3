"""The report of a study that ran in jobs with GPUs: its account is the one of Slurm."""

from __future__ import annotations

import re
from html import unescape
from pathlib import Path

import pytest
from cluster import Cluster
from workplace import Workplace

from processes import until

pytest.importorskip("plotly")
SLEEPS = """\
import time

time.sleep(1.0)
print("loss", 0.5, "attempt", 0)
"""


def ledger(page: str) -> dict[str, float]:
    """GPU-hours by the name of the row."""
    rows = re.findall(r'<tr><th scope="row">([^<]*)</th><td class="number">([0-9.e-]+)</td>', page)
    return {unescape(name): float(amount) for name, amount in rows}


def test_the_account_of_a_study_on_slurm(slurm: Cluster, tmp_path: Path) -> None:
    place = Workplace(slurm, tmp_path / "home", "told")
    place.define('gpus = 2\nper_trial = { gpus = 1 }\nworkers = 2\ntime = "00:03:00"', trials=6, train=SLEEPS)
    place.submit()
    place.until_over(120)
    said = place.taut("report", "study.toml", "--to", "told.html")
    assert said == "told.html: 6 trials\n"
    page = (place.path / "told.html").read_text()

    def held() -> float:  # the accounting is told a little later
        return (
            sum(int(row[0]) * 2 for row in place.jobs("ElapsedRaw", "JobName") if "next" not in row[1]) / 3600
        )

    account = ledger(page)
    asked = place.scripts()["job0"]
    assert account["requested"] == pytest.approx(asked["tasks"] * 2 * asked["minutes"] / 60, abs=0.006)
    until(lambda: account["used"] == pytest.approx(held(), abs=0.006), timeout=20)
    parts = ("complete trials", "trials that ended early", "failed trials", "overhead", "idle")
    assert sum(account[name] for name in parts) == pytest.approx(account["used"], rel=0.1)
    assert account["overhead"] > 0
    svg = page.partition("<svg")[2].partition("</svg>")[0]
    assert len(re.findall(r"trial \d, job \d+_\d, useful work", svg)) == 6
    assert svg.count("<title>submitted</title>") >= 1
