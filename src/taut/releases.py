"""Attempts that ended without a result: what was said of each, by trial.

Several workers may speak of the same attempt: its own, which paused or had to leave, and others that found it
dead. Whatever the order in which they are read, the same of their words is kept, and the attempt's own worker's
goes before that of others.
"""

from __future__ import annotations

from collections.abc import Container, Iterator

from taut.events import Released

__all__ = ["Releases", "had"]


class Releases:
    """What is known of released attempts; `add` the events as they are read.

    saves: how often trials have saved themselves to go on later. blames: how often attempts ended for which the trial
    may be the reason. parked: the trials that came to wait on a rung, once for each time that this was heard.
    """

    def __init__(self) -> None:
        self.saves = self.blames = 0
        self.parked: list[int] = []
        self._words: dict[int, dict[int, tuple[int, Released]]] = {}  # by trial and attempt: who said what

    def __contains__(self, n: int) -> bool:
        return n in self._words

    def __iter__(self) -> Iterator[int]:
        """The trials with such attempts, in the order in which they were seen."""
        return iter(self._words)

    def add(self, writer: int, event: Released) -> bool:
        """Take a word; whether it is the one that counts now."""
        attempts = self._words.setdefault(event.n, {})
        known = attempts.get(event.a)
        self.saves += event.kept is True and not isinstance(event.at, float)
        if isinstance(event.at, float):
            self.parked.append(event.n)
        self.blames += event.blame
        if known is not None and _weight(*known) >= _weight(writer, event):
            return False
        attempts[event.a] = writer, event
        return True

    def cut(self, by: Container[int]) -> int:
        """How many attempts, by the word of these writers, have saved themselves or ended in a way for which the trial may be the reason."""
        return sum(
            writer in by and (event.blame or (event.kept is True and not isinstance(event.at, float)))
            for words in self._words.values()
            for writer, event in words.values()
        )

    def highest(self, n: int) -> int:
        """The highest released attempt of trial `n`; -1 if there is none."""
        return max(self._words.get(n, (-1,)))

    def last(self, n: int, attempt: int) -> Released | None:
        """Why trial `n`, which has begun `attempt`, does not run any more; None if nobody has said that it does not.

        A later attempt that was claimed and never begun tells less than the one that ran.
        """
        words = self._words.get(n)
        if not words or max(words) < attempt:
            return None
        return (words.get(attempt) or words[max(words)])[1]

    def rungs(self, n: int) -> list[tuple[int, float]]:
        """The attempts of trial `n` after which it waited on a rung, and at which step."""
        words = self._words.get(n, {})
        return [(a, words[a][1].at) for a in sorted(words) if isinstance(words[a][1].at, float)]  # type: ignore[misc]

    def blamed(self, n: int) -> int:
        """How many attempts of trial `n` ended for which it may be the reason."""
        return sum(event.blame for _, event in self._words.get(n, {}).values())

    def why(self, n: int) -> list[str]:
        """Why attempts of trial `n` ended, in their order."""
        words = self._words.get(n, {})
        return [f"attempt {a}: {words[a][1].why}" for a in sorted(words)]

    def fell_short(self, n: int) -> float:
        """The most seconds that an attempt of trial `n` had and that were not enough; 0 if none ran out of time."""
        words = self._words.get(n, {}).values()
        return max((had(event) for _, event in words if event.short is True), default=0.0)

    def timed(self, n: int, but: int) -> list[tuple[int, Released]]:
        """Who ran the attempts of trial `n` whose length is known, and what was said; without attempt `but`."""
        words = self._words.get(n, {})
        return [words[a] for a in sorted(words) if a != but and isinstance(words[a][1].had, float)]


def had(event: Released) -> float:
    """Seconds that the attempt ran; 0 where its worker did not tell."""
    return event.had if isinstance(event.had, float) else 0.0


def _weight(writer: int, event: Released) -> tuple[bool, bool, bool, float, str, float, bool, int]:
    own = isinstance(event.had, float)
    short = event.short is True
    return event.kept is True, own, event.blame, event.t, event.why, had(event), short, writer
