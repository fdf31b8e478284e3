"""Events: what is written is read again, and no damage goes unseen or raises anything but ValueError."""

from __future__ import annotations

import json
import zlib
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from taut.events import (
    VERSION,
    Closed,
    Event,
    Finished,
    Opened,
    Released,
    Reported,
    Started,
    decode,
    encode,
    intact,
)

texts = st.text(max_size=20)
numbers = st.integers(0, 2**53)
times = st.floats(allow_nan=False, allow_infinity=False)
metrics = st.dictionaries(texts, st.none() | times, max_size=3)
scalars = st.none() | st.booleans() | st.integers(-(2**53), 2**53) | times | texts
params = st.dictionaries(texts, scalars | st.lists(scalars, max_size=2), max_size=3)
events = st.one_of(
    st.builds(
        Opened, texts, texts, texts, numbers, texts, texts, st.dictionaries(texts, texts, max_size=2), times
    ),
    st.builds(Started, numbers, numbers, params, numbers, numbers, times, st.lists(numbers, max_size=4)),
    st.builds(Started, numbers, numbers, params, numbers, numbers, times),
    st.builds(Reported, numbers, numbers, times, metrics, times),
    st.builds(
        Finished, numbers, numbers, st.sampled_from(["complete", "pruned", "failed"]), metrics, times, texts
    ),
    st.builds(Released, numbers, numbers, texts, st.booleans(), times),
    st.builds(Closed, times),
)
EXAMPLE = Finished(n=3, a=1, state="failed", y={"loss": None, "f1": 0.5}, t=12.5, error='a "quoted"\nline')


@given(events)
def test_what_is_written_is_read_again(event: Event) -> None:
    line = encode(event)
    assert line.endswith(b"\n") and line.count(b"\n") == 1
    assert decode(line[:-1]) == event


@pytest.mark.parametrize(
    "event",
    [
        Released(n=4, a=1, why="w", blame=False, t=1.0, had=float("nan")),
        Released(n=4, a=1, why="w", blame=False, t=1.0, at=float("inf")),
        Reported(n=0, a=0, s=float("nan"), y={}, t=1.0),
        Started(n=0, a=0, x={}, r=0, c=1, t=float("inf")),
    ],
)
def test_what_nobody_could_read_is_not_written(event: Event) -> None:
    with pytest.raises(ValueError, match="cannot be written"):
        encode(event)


def test_a_line_is_json_that_any_tool_can_read_and_check() -> None:
    line = encode(EXAMPLE)
    fields = json.loads(line)
    assert fields["e"] == "finished" and fields["v"] == VERSION and fields["error"] == 'a "quoted"\nline'
    assert int(fields["crc"], 16) == zlib.crc32(line[: line.rindex(b',"crc"')])


def test_a_flipped_bit_anywhere_is_noticed_or_changes_nothing() -> None:
    line = encode(EXAMPLE)[:-1]
    for position in range(len(line)):
        for bit in range(8):
            damaged = bytearray(line)
            damaged[position] ^= 1 << bit
            try:
                event = decode(bytes(damaged))
            except ValueError:
                continue
            assert event == EXAMPLE, bytes(damaged)


@given(st.integers(0, len(encode(EXAMPLE)) - 2))
def test_a_shortened_line_is_noticed(length: int) -> None:
    with pytest.raises(ValueError):
        decode(encode(EXAMPLE)[:length])


@given(st.binary(max_size=60))
def test_noise_raises_nothing_but_a_value_error(noise: bytes) -> None:
    with pytest.raises(ValueError):
        decode(noise)


def signed(fields: Any) -> bytes:
    body = json.dumps(fields).encode()[:-1]
    return b'%b,"crc":"%08x"}' % (body, zlib.crc32(body))


@pytest.mark.parametrize("fields", [{"e": "closed", "t": 1.0, "v": 2}, {"e": "merged", "v": 2}])
def test_a_newer_format_says_what_to_do(fields: dict[str, Any]) -> None:
    line = signed(fields)
    assert intact(line)
    with pytest.raises(ValueError, match=r"format 2 is newer than this taut reads \(1\): upgrade taut"):
        decode(line)


@pytest.mark.parametrize(
    "fields",
    [
        {"e": "merged", "v": 1},
        {"e": "closed", "v": 1},
        {"e": "released", "n": "0", "a": 0, "why": "", "blame": True, "t": 1, "v": 1},
    ],
)
def test_an_intact_line_that_is_no_event_is_refused(fields: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="not an event"):
        decode(signed(fields))


def test_unknown_fields_are_left_alone() -> None:
    assert decode(signed({"e": "closed", "t": 1.0, "v": 1, "more": [1]})) == Closed(t=1.0)
