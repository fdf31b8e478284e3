"""How parameters hang together: conditions and couplings of the catalogue, in a script's own flags."""

from __future__ import annotations

import ast
import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, Final

import numpy as np

from taut import catalogue
from taut.errors import InputError
from taut.space import Space
from taut.space.expression import Expression
from taut.starting.flags import UNKNOWN
from taut.starting.picks import Context, Pick, Selection

__all__ = ["condition", "couple", "prove"]


def condition(selection: Selection, given: Mapping[str, Any]) -> None:
    """Conditions of the catalogue, where all that they name is there; and what is pointless while another flag stays as it is."""
    named = {pick.entry.name: pick for pick in reversed(selection.picks) if pick.entry is not None}
    for i, pick in enumerate(selection.picks):
        if not pick.searched or pick.entry is None or not pick.entry.when:
            continue
        expression = Expression.parse(pick.entry.when)
        if not set(expression.names) <= named.keys():
            continue
        others = {name: named[name] for name in expression.names}
        searched = [other for other in others.values() if other.searched]
        levels = {one.flag.name: _levels(one) for one in searched}
        text = _narrowed(_in_flags(pick.entry.when, others), levels)
        if len(searched) == len(others):
            selection.picks[i] = replace(pick, prior={**(pick.prior or {}), "when": text})
        elif not searched:
            values = {name: given.get(one.flag.name, one.flag.default) for name, one in others.items()}
            if any(value is UNKNOWN or value is None for value in values.values()):
                continue
            backwards = {
                name: {repr(own): known for known, own in one.spelled.items()} for name, one in others.items()
            }
            known = {name: backwards[name].get(repr(value), value) for name, value in values.items()}
            if not _holds(expression, known):
                stays = " and ".join(f"{others[name].flag.name} is {value}" for name, value in values.items())
                why = f"matters when {text}, and {stays}: {pick.why}"
                selection.picks[i] = replace(pick, searched=False, why=why)


def _in_flags(condition: str, others: Mapping[str, Pick]) -> str:
    """A condition over entries as one over a script's flags, in the script's values."""
    spelled = {f"'{value}'": repr(own) for one in others.values() for value, own in one.spelled.items()}

    def told(word: re.Match[str]) -> str:
        text = word[0]
        return (
            spelled.get(text, text)
            if text.startswith("'")
            else others[text].flag.name
            if text in others
            else text
        )

    return re.sub(r"'[^']*'|[A-Za-z_]\w*", told, condition)


def _levels(pick: Pick) -> Sequence[Any]:
    prior = pick.prior or {}
    return list(prior.get("choice", prior.get("ordinal", ())))


def _narrowed(condition: str, levels: Mapping[str, Sequence[Any]]) -> str:
    """A condition of which ``x in [...]`` names only values that x can have; a space refuses others."""

    def told(found: re.Match[str]) -> str:
        values = [each for each in ast.literal_eval(found[2]) if each in levels.get(found[1], ())]
        if not values:
            return found[0]
        return f"{found[1]} == {values[0]!r}" if len(values) == 1 else f"{found[1]} in {values!r}"

    return re.sub(r"([A-Za-z_]\w*) in (\[[^\[\]]*\])", told, condition)


def _holds(expression: Expression, values: Mapping[str, Any]) -> bool:
    columns = {
        name: np.array([value], dtype=object if isinstance(value, str) else None)
        for name, value in values.items()
    }
    try:
        return bool(expression.holds(columns)[0])
    except InputError:
        return True


def couple(selection: Selection, context: Context, given: Mapping[str, Any]) -> None:
    """Let one parameter follow from others where the catalogue has a rule for it that needs nothing else.

    So the micro-batch and its accumulation hold the batch of a step at one size, which is that of the user's own settings.
    """
    for rule in catalogue.couplings():
        if not set(rule.contexts) & set(context.names[:1]):
            continue
        names = {
            pick.entry.name: pick.flag.name
            for pick in selection.picks
            if pick.entry and pick.flag.option is not None
        }
        searched = {pick.entry.name for pick in selection.searched if pick.entry}
        if rule.gives not in names or not set(rule.needs) <= names.keys():
            continue
        selection.rules.append((rule, names))
        fixed = rule.name == "accumulation_fixed" and (
            rule.gives in searched or "performance" in context.names
        )
        if (
            rule.helpers
            or not rule.needs
            or not set(rule.needs) <= searched
            or (rule.constants and not fixed)
        ):
            continue
        batch = _batch(selection, given) if fixed else None
        numbers = {} if batch is None else {"batch": batch}
        for i, pick in enumerate(selection.picks):
            if pick.entry is not None and pick.entry.name == rule.gives and "expr" not in (pick.prior or {}):
                if pick.stays:
                    continue
                prior = {"expr": rule.expression(names, **numbers)}
                selection.picks[i] = replace(
                    pick, prior=prior, searched=True, why=rule.title, said="", basis=rule.basis
                )
                selection.rules.pop()
                if fixed:
                    _divide(selection, batch or int(rule.constants["batch"]))
                break


_MICRO: Final = "per_device_train_batch_size"


def _batch(selection: Selection, given: Mapping[str, Any]) -> int | None:
    """Micro-batch times accumulation of the user's own command or script; None where a library's defaults are all there is."""
    parts = {
        pick.entry.name: pick.flag
        for pick in reversed(selection.picks)
        if pick.entry is not None and pick.entry.name in (_MICRO, "gradient_accumulation_steps")
    }
    values = [given.get(flag.name, flag.default) for flag in parts.values()]
    own = any(flag.name in given or not flag.inherited for flag in parts.values())
    if not own or not all(
        isinstance(each, int) and not isinstance(each, bool) and each > 0 for each in values
    ):
        return None
    batch = int(np.prod(values))
    return batch if batch > 1 else None


def _divide(selection: Selection, batch: int) -> None:
    """Leave only micro-batches that divide the batch: the others would change it."""
    for i, pick in enumerate(selection.picks):
        levels = (pick.prior or {}).get("ordinal", ())
        if pick.searched and pick.entry is not None and pick.entry.name == _MICRO:
            whole = [each for each in levels if batch % each == 0]
            if len(whole) > 1:
                prior = {**(pick.prior or {}), "ordinal": whole}
                if prior.get("start") not in whole:
                    prior.pop("start", None)
                selection.picks[i] = replace(pick, prior=prior)


def prove(selection: Selection) -> None:
    """Take out conditions, and then parameters, that a space refuses: what is written, or offered, must be readable."""
    for i, pick in enumerate(selection.picks):
        if pick.prior is not None and not pick.searched and not _readable(pick):
            selection.picks[i] = replace(pick, prior=None)
    for _ in range(2 * len(selection.picks) + 1):
        forms = {pick.flag.name: dict(pick.prior or {}) for pick in selection.searched}
        if not forms:
            return
        try:
            Space.from_json(forms)
            return
        except InputError as error:
            at = error.at[0] if error.at else ""
            for i, pick in enumerate(selection.picks):
                if pick.searched and pick.flag.name == at:
                    prior = dict(pick.prior or {})
                    if prior.pop("when", None) is None:
                        selection.picks[i] = replace(pick, searched=False, prior=None, why=error.message)
                    else:
                        selection.picks[i] = replace(pick, prior=prior)
                    break
            else:
                raise


def _readable(pick: Pick) -> bool:
    try:
        Space.from_json({pick.flag.name: dict(pick.prior or {})})
    except InputError:
        return False
    return True
