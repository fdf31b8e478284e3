"""HyperQueue as taut uses it: what a task asks for, its script, what was submitted, the server that has it.

HyperQueue starts tasks and returns nothing of them; a task here is a `taut worker`, whose results are in the study's log.
"""

from __future__ import annotations

import os

__all__ = ["within_task"]


def within_task() -> bool:
    """Whether this process runs in a task of HyperQueue."""
    return "HQ_JOB_ID" in os.environ and "HQ_TASK_ID" in os.environ
