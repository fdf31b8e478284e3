"""The sections of a report in words and numbers, as HTML; whatever users wrote is escaped."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from taut.duration import in_words
from taut.reports import promised
from taut.reports.actual import actual
from taut.reports.drawings import Drawing
from taut.reports.facts import Facts
from taut.reports.failures import Failure, failures, interruptions
from taut.reports.gantt import svg
from taut.reports.ledger import Entry, ledger
from taut.reports.table import Table
from taut.reports.texts import shown
from taut.snapshot import Snapshot

__all__ = ["course", "failed", "figures", "links", "summary", "trials"]

_TRIALS_NAMED = 12  # of a group of failures


def links(failed: bool) -> str:
    """To each section. failed: whether there is one on failures."""
    found = [("summary", "Summary"), ("course", "Course and costs"), ("charts", "Figures")]
    found += [("failures", "Failures")] if failed else []
    told = "".join(f'<a href="#{target}">{name}</a>' for target, name in (*found, ("all", "All trials")))
    return f'<nav aria-label="sections">{told}</nav>'


def summary(snapshot: Snapshot, facts: Facts) -> str:
    """What is known of the study, and the trials to look at first with their parameters."""
    rows = "".join(f"<dt>{shown(name)}</dt><dd>{shown(text)}</dd>" for name, text in facts.summary)
    parts = [
        f'<section aria-labelledby="summary-head" id="summary"><h2 id="summary-head">Summary</h2><dl>{rows}</dl>'
    ]
    for pick in facts.picks:
        (record,) = snapshot.records([pick.number])
        told = {"because": pick.why} if pick.why else {}
        told |= {"against": "; ".join(pick.against)} if pick.against else {}
        values = {**{name: _number(value) for name, value in record.values.items()}, **told}
        parts.append(f"<h3>{shown(pick.name.capitalize())}: trial {pick.number}</h3>")
        parts.append(
            "<dl>" + "".join(f"<dt>{shown(k)}</dt><dd>{shown(v)}</dd>" for k, v in values.items()) + "</dl>"
        )
        cells = "".join(
            f'<tr><th scope="row">{shown(name)}</th><td><code>{shown(_number(value))}</code></td></tr>'
            for name, value in record.params.items()
        )
        parts.append(
            f'<div class="scroll"><table aria-label="parameters of trial {pick.number}"><tbody>{cells}</tbody></table></div>'
        )
    return "".join([*parts, "</section>"])


def _number(value: object) -> str:
    return f"{value:.6g}" if isinstance(value, float) else str(value)


def course(snapshot: Snapshot, facts: Facts) -> str:
    """What ran when, and the account of it."""
    timeline = actual(snapshot, facts.now, facts.jobs)
    parts = ['<section aria-labelledby="course-head" id="course"><h2 id="course-head">Course and costs</h2>']
    if timeline.bars:
        parts.append(
            f'<div class="scroll" tabindex="0" role="group" aria-label="Gantt chart">{svg(timeline)}</div>'
        )
    else:
        parts.append("<p>No trial has run yet.</p>")
    rows = "".join(
        _booked(entry, bool(facts.gpus))
        for entry in ledger(timeline, facts.savings, facts.requested, facts.gpus)
    )
    unit = "GPU-hours" if facts.gpus else "time of slots"
    head = f'<tr><th scope="col"></th><th scope="col" class="number">{unit}</th><th scope="col" class="number">of what was used</th><th scope="col">what it is</th></tr>'
    parts.append(
        f'<h3>Ledger</h3><div class="scroll"><table class="ledger"><thead>{head}</thead><tbody>{rows}</tbody></table></div>'
    )
    parts.append(promised.section(facts.kept, snapshot, facts.now, facts.jobs))
    return "".join([*parts, "</section>"])


def _booked(entry: Entry, gpus: bool) -> str:
    hours = entry.seconds / 3600
    amount = (f"{hours:.2f}" if hours >= 1.0 else f"{hours:.2g}") if gpus else in_words(entry.seconds)
    share = "" if entry.share is None else f"{entry.share:.0%}"
    numbers = f'<td class="number">{amount}</td><td class="number">{share}</td>'
    return f'<tr><th scope="row">{entry.name}</th>{numbers}<td class="soft">{shown(entry.note)}</td></tr>'


def failed(snapshot: Snapshot) -> str:
    """Why trials failed and attempts were lost; empty if none did."""
    groups = (
        ("Trials that failed", failures(snapshot)),
        ("Attempts that were lost", interruptions(snapshot)),
    )
    parts = [f"<h3>{title}</h3>{''.join(map(_group, found))}" for title, found in groups if found]
    if not parts:
        return ""
    return f'<section aria-labelledby="failures-head" id="failures"><h2 id="failures-head">Failures</h2>{"".join(parts)}</section>'


def _group(group: Failure) -> str:
    numbers = ", ".join(map(str, group.trials[:_TRIALS_NAMED]))
    more = f" and {len(group.trials) - _TRIALS_NAMED} more" if len(group.trials) > _TRIALS_NAMED else ""
    times = "once" if len(group.trials) == 1 else f"{len(group.trials)} times"
    head = f"<summary><strong>{times}:</strong> {shown(group.reason[:300])}</summary>"
    return f'<details>{head}<p class="soft">trials {numbers}{more}</p><pre>{shown(group.example)}</pre></details>'


def trials(columns: Table, count: int) -> str:
    """The place of the table, which the page's script fills, and what to search it with."""
    missing = (
        f" Left out here, since the page would be too large: {', '.join(columns.left_out)}."
        if columns.left_out
        else ""
    )
    return (
        '<section aria-labelledby="all-head" id="all"><h2 id="all-head">All trials</h2>'
        '<div class="tools"><label for="search">Search</label>'
        '<input id="search" type="search" placeholder="failed   or   loss&lt;0.3   or   optim=adam" aria-describedby="how">'
        f'<span id="counted" aria-live="polite">{count} trials</span></div>'
        '<p id="how" class="soft">Words must all be found; a condition names a column. Click a heading to sort.'
        f"{shown(missing)}</p>"
        f'<div id="trials" style="height:min(560px,{34 + 28 * (count + 1)}px)" tabindex="0" role="region" aria-label="table of all trials"></div></section>'
    )


def figures(drawn: Sequence[Drawing], missing: Sequence[Drawing]) -> Iterable[str]:
    """The places of the figures, with their heights, so that nothing moves when they are drawn; and why others are not there."""
    yield '<section aria-labelledby="figures-head" id="charts"><h2 id="figures-head">Figures</h2>'
    for each in drawn:
        height = each.figure["layout"]["height"]
        wide = " wide" if each.wide else ""
        told = shown(f"{each.title}. {each.said}")
        choices = "".join(
            f'<button type="button" disabled data-for="{each.key}" data-choice="{i}" '
            f'aria-pressed="{"false" if i else "true"}">{shown(button["label"])}</button>'
            for menu in each.figure["layout"].get("updatemenus", ())
            for i, button in enumerate(menu["buttons"])
        )
        if choices:
            choices = f'<div class="choices" role="group" aria-label="what to show along">{choices}</div>'
        yield (
            f'<figure><h3>{shown(each.title)}</h3>{choices}<div class="scroll" tabindex="0" role="group" aria-label="{told}">'
            f'<div class="plot{wide}" style="height:{height}px" data-figure="{each.key}" role="img" aria-label="{told}"></div></div>'
            f"<figcaption>{shown(each.said)}</figcaption></figure>"
        )
    for each in missing:
        (note,) = each.figure["layout"]["annotations"]
        yield f'<p class="soft">{shown(each.title)}: {shown(note["text"])}.</p>'
    yield "</section>"
