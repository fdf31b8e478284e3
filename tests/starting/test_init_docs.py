"""docs/init.md does what it says: its script is drafted and run by its commands."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

from drafting import Desk
from test_init_scripts import taut

from taut import studyfile

PAGE = (Path(__file__).parents[2] / "docs" / "init.md").read_text()


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", PAGE, flags=re.M | re.S)


def test_the_commands_of_the_page(desk: Desk) -> None:
    (script,) = blocks("py")
    desk.write("train.py", script)
    desk.write("corpus.txt", "words")
    for line in "".join(blocks("sh")).splitlines():
        taut(*shlex.split(line)[1:], cwd=desk.place)
    study = studyfile.read(desk.place / "study.toml")
    assert set(study.space) == {"learning_rate", "optimizer", "momentum", "dropout"}
    assert study.space["momentum"]["when"] == "optimizer == 'sgd'"
    assert {"--data", "corpus.txt"} <= set(study.evaluation.command or ())
    assert study.fidelity is not None and study.fidelity.max == 9
    assert (desk.place / "lora.toml").exists()
