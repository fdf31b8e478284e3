"""The report: one self-contained HTML page, which opens from disk and asks no network for anything.

Whatever users wrote is escaped where it stands in the page, and is data for the page's script elsewhere. A policy in the page itself
lets no other script run, and nothing be loaded.
"""

from __future__ import annotations

import base64
import functools
import gzip
import hashlib
import importlib.resources
import json
from datetime import datetime, timezone
from typing import Any

from taut.errors import InputError
from taut.pruners.base import Pruner
from taut.reports import sections
from taut.reports.drawings import drawings
from taut.reports.facts import Facts
from taut.reports.table import table
from taut.reports.texts import plain, shown
from taut.snapshot import Snapshot

__all__ = ["MARK", "page"]

MARK = "<!-- A report of taut: written anew by `taut report`. -->"


def page(snapshot: Snapshot, pruner: Pruner | None, facts: Facts) -> str:
    """The page. Raises `InputError` where Plotly, whose script it carries, is not installed."""
    script, packed = _plotly()
    figures, trials, failed = drawings(snapshot, pruner), table(snapshot), sections.failed(snapshot)
    drawn = [each for each in figures if each.figure["data"]]
    missing = [each for each in figures if not each.figure["data"]]
    own = _asset("page.js")
    policy = "; ".join(
        [
            "default-src 'none'",
            "style-src 'unsafe-inline'",
            "img-src data: blob:",
            f"script-src 'unsafe-eval' {_hash(own)} {_hash(script)}",  # WebGL figures compile functions
            "base-uri 'none'",
            "form-action 'none'",
        ]
    )
    name = shown(snapshot.definition.name)
    when = datetime.fromtimestamp(facts.now, timezone.utc).strftime("%Y-%m-%d %H:%M UTC")
    refresh = f'<meta http-equiv="refresh" content="{facts.refresh}">' if facts.refresh else ""
    best = [pick.number for pick in facts.picks]
    parts = [
        "<!doctype html>",
        MARK,
        '<html lang="en"><head><meta charset="utf-8">',
        f'<meta http-equiv="Content-Security-Policy" content="{policy}">',
        f'<meta name="viewport" content="width=device-width, initial-scale=1">{refresh}',
        f"<title>{name}: report</title><style>{_asset('page.css')}</style></head><body>",
        '<a class="skip" href="#all">Skip to the table of trials</a>',
        f'<header><h1>{name}</h1><p class="soft">as of {when}{" · this page loads itself again" if refresh else ""}</p>',
        f"{sections.links(bool(failed))}</header><main>",
        sections.summary(snapshot, facts),
        sections.course(snapshot, facts),
        *sections.figures(drawn, missing),
        failed,
        sections.trials(trials, len(snapshot.known)),
        '</main><footer><p class="soft">Written by taut. Numbers have six digits here; <code>taut export</code> has all.</p></footer>',
        _data("figures", {each.key: each.figure for each in drawn}),
        _data("table", {"columns": [column._asdict() for column in trials.columns], "best": best}),
        f'<script type="application/octet-stream" id="plotly">{packed}</script>',
        f"<script>{own}</script></body></html>\n",
    ]
    return "\n".join(parts)


# ---------------------------------------------------------------------- what the page carries


def _data(name: str, value: Any) -> str:
    """Data for the script. `<` does not appear in it, so nothing in it can end the element or begin another."""
    text = plain(json.dumps(value, separators=(",", ":"), ensure_ascii=False, allow_nan=False))
    text = text.replace("<", "\\u003c")
    return f'<script type="application/json" id="{name}">{text}</script>'


def _asset(name: str) -> str:
    return (importlib.resources.files("taut.reports") / name).read_text(encoding="utf-8")


def _hash(script: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()}'"


@functools.lru_cache(maxsize=1)
def _plotly() -> tuple[str, str]:
    """Plotly's script, and the same packed as it is carried: a third of the size, and unpacked only when a figure comes into view."""
    try:
        script = (importlib.resources.files("plotly") / "package_data" / "plotly.min.js").read_text(
            encoding="utf-8"
        )
    except ModuleNotFoundError:
        raise InputError(
            "the report needs Plotly, which is not installed: pip install 'taut[report]'"
        ) from None
    return script, base64.b64encode(gzip.compress(script.encode(), 6, mtime=0)).decode()
