"""One trial after another in this very process: what it measures of itself, and what counters beside it say."""

from __future__ import annotations

import time

from taut.metrics.meters.own import OwnProcess
from taut.metrics.meters.watch import Devices, Watch, merged

__all__ = ["Around"]

_KEY = "the trial"


class Around:
    """Call `begin`, let the trial run, call `end`. devices: the GPUs that it may use. thrifty: as of `OwnProcess`."""

    def __init__(self, devices: Devices, thrifty: bool = False) -> None:
        self._own, self._watch = OwnProcess(thrifty), Watch([devices], outside=False)

    def begin(self) -> None:
        self._watch.begin(_KEY, 0, None, time.monotonic())
        self._own.begin()

    def end(self) -> dict[str, float]:
        """The readings of the trial."""
        return merged(self._own.end(), self._watch.end(_KEY, time.monotonic()))

    def clean(self) -> dict[str, float]:
        """Free what it left behind, as far as nobody holds it; what could not be freed is a reading, too."""
        return self._own.clean()
