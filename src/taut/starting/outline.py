"""What a drafted study.toml says, before it is text."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from taut.starting.measuring import Fidelity, Measure
from taut.starting.picks import Selection

__all__ = ["Outline"]


@dataclass
class Outline:
    """All parts of a study file.

    title: what is tuned, for the first line. read: where that was looked up, in sentences. command, function, config, cwd:
    keys of the same names; to_fill: words of the command that the user has to replace, and what by. measure: the objective.
    selection: what becomes of the flags. named: whether the command names its flags one by one. left_out: entries of a preset
    that the script has no flag for. warm_start: earlier studies. gpus: of a job. hours: whether trials are long.
    """

    name: str
    title: str
    measure: Measure
    selection: Selection
    command: tuple[str, ...] = ()
    function: str = ""
    config: str = ""
    cwd: str = ""
    why_cwd: str = ""
    read: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    to_fill: Mapping[str, str] = field(default_factory=dict)
    named: bool = False
    fidelity: Fidelity | None = None
    left_out: list[str] = field(default_factory=list)
    warm_start: tuple[str, ...] = ()
    gpus: int = 0

    @property
    def trials(self) -> int:
        """Ten for each parameter that is searched, from 20 to 100."""
        searched = [pick for pick in self.selection.searched if "expr" not in (pick.prior or {})]
        if not searched:
            return 50
        return min(100, max(20, 10 * len(searched)))
