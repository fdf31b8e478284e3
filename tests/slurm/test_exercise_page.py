"""The first exercise of docs/exercises.md on a real Slurm: its job array finds what the page shows, and workers do the same study."""

from __future__ import annotations

import re
from pathlib import Path

from cluster import Cluster
from workplace import Workplace

from pages import OUTPUT, ROOT, blocks, matches


def test_random_search_as_a_job_array_and_by_workers(slurm: Cluster, tmp_path: Path) -> None:
    page = blocks(ROOT / "docs" / "exercises.md")
    place = Workplace(slurm, tmp_path, "spirals")
    for name in ("train.py", "study.toml", "job.sh"):
        (file,) = (block.text for block in page if block.title == name)
        place.write(name, file)
    (submit,) = (
        block.text for block in page if block.language == "bash" and block.text.startswith("sbatch job")
    )
    job = re.findall(r"\d+", place.run(*submit.split()))[-1]
    place.until(lambda: not slurm.run("squeue", "-h", "-j", job, "-t", "PD,R,CG"), 90, "the array")
    (collect,) = (at for at, block in enumerate(page) if block.text.startswith("grep -H val_loss"))
    assert page[collect + 1].title == OUTPUT
    found = place.run("bash", "-c", page[collect].text)
    assert matches(page[collect + 1].text, found, any_number=False), found

    place.submit()
    place.until_over(90)
    assert [trial["state"] for trial in place.trials()] == ["complete"] * 12
    assert "val_loss" in place.taut("best", "study.toml")
