"""From what was asked to the outline of a study."""

from __future__ import annotations

import re
from typing import Final

from taut.starting.configs import SUFFIXES
from taut.starting.installed import Installed
from taut.starting.others import of_config, of_function, of_preset
from taut.starting.outline import Outline
from taut.starting.presets import preset
from taut.starting.request import Request
from taut.starting.scripts import of_script

__all__ = ["compose"]

_FUNCTION: Final = re.compile(r"[^\W\d][\w.]*:[^\W\d]\w*")


def compose(request: Request) -> Outline:
    """The outline of a study. Raises `InputError` for what cannot be read; nothing is written or run (but for `run_help`)."""
    wanted = preset(request.preset) if request.preset else None
    installed = Installed(request.python)
    if not request.target:
        assert wanted is not None, "there is a script or a preset"
        return of_preset(request, wanted, installed)
    if _FUNCTION.fullmatch(request.target):
        return of_function(request, wanted)
    if request.target.endswith(SUFFIXES):
        return of_config(request, wanted)
    return of_script(request, wanted, installed)
