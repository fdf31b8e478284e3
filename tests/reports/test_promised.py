"""What was expected of jobs beside what came: the picture, and the section of the report."""

from __future__ import annotations

import re

import msgspec
import pytest
from courses import T, fold, opened, trial

from taut.events import Event, Planned
from taut.queue.promise import kept
from taut.reports.facts import Facts
from taut.reports.promised import band, picture
from taut.reports.sections import course

PROMISE = Planned(
    trials=2, jobs=1, minutes=10, slots=1, units=1, unit="GPU", finish=(100.0, 200.0, 400.0), cost=(0.1, 0.2, 0.3), strength="weak: 23 jobs",
    t=T + 50.0, trial=(60.0, 0.1), overhead=(20.0, 0.1), waits=(30.0,),
)  # fmt: skip
BEFORE = [opened(0.0, "node1"), *trial(0, 5.0, 40.0)]
AFTER = [*trial(1, 130.0, 190.0), *trial(2, 190.0, 260.0), *trial(3, 260.0, 300.0)]


def test_the_picture_is_of_the_time_that_the_promise_speaks_of() -> None:
    snapshot = fold([*BEFORE, PROMISE, *AFTER])
    (found,) = kept(snapshot)
    timeline = picture(found, snapshot, T + 1000.0)
    assert timeline is not None
    assert timeline.lanes == ("planned job 1", "came node1") and timeline.zero == T + 50.0
    ran = [(bar.begin, bar.end, bar.trial) for bar in timeline.bars if bar.lane == 1 and bar.kind == "useful"]
    assert ran[:2] == [(80.0, 140.0, 1), (140.0, 210.0, 2)]
    assert ran[2] == (210.0, pytest.approx(214.2), 3), "it ends a little after the promise was kept"
    assert band(found) == (100.0, 400.0)
    assert [bar.trial for bar in timeline.bars if bar.lane == 0 and bar.kind == "useful"] == [0, 1]


def test_one_that_is_not_kept_yet_goes_on_until_now() -> None:
    snapshot = fold([*BEFORE, msgspec.structs.replace(PROMISE, trials=9), *AFTER])
    timeline = picture(kept(snapshot)[0], snapshot, T + 1000.0)
    assert (
        timeline is not None
        and [bar.trial for bar in timeline.bars if bar.lane > 0 and bar.kind == "useful"][-1] == 3
    )


def test_a_study_that_ended_early_says_so() -> None:
    snapshot = fold([*BEFORE, msgspec.structs.replace(PROMISE, trials=9), *AFTER])
    (found,) = kept(snapshot, over="loss is low enough")
    timeline = picture(found, snapshot, T + 5000.0)
    assert timeline is not None and max(bar.end for bar in timeline.bars if bar.lane > 0) < 300.0
    page = course(snapshot, Facts(now=T + 5000.0, summary=(), kept=(found,)))
    assert "ended with 3 of 9 after 4 min 10 s: loss is low enough" in page


def said(*events: Event) -> str:
    snapshot = fold([*BEFORE, *events])
    return course(snapshot, Facts(now=T + 1000.0, summary=(), kept=kept(snapshot)))


def test_the_report_holds_promises_against_what_came() -> None:
    page = said(PROMISE, *AFTER, msgspec.structs.replace(PROMISE, trials=40, t=T + 400.0))
    rows = [re.sub("<[^>]*>", "|", row) for row in re.findall(r'<tr><th scope="row">\d.*?</tr>', page)]
    assert len(rows) == 2
    assert (
        "2 trials: 1 job x 10 min||3 min 20 s (1 min 40 s to 6 min 40 s)||3 min 30 s, as expected" in rows[0]
    )
    assert "0 of 40 so far" in rows[1] and "The latest plan, and what came of it" in page


def test_many_promises_are_cut_and_none_leave_nothing() -> None:
    many = [msgspec.structs.replace(PROMISE, t=T + 50.0 + i) for i in range(25)]
    page = said(*many, *AFTER)
    assert page.count("2 trials: 1 job x 10 min") == 20 and "and 5 before these" in page
    assert "Plans and what came" not in said(*AFTER)
