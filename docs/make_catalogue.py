"""The page docs/catalogue.md, made from the data of taut.catalogue.

python docs/make_catalogue.py              # writes it; --check only says whether it is out of date
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator
from pathlib import Path

from taut import catalogue
from taut.catalogue import Coupling, Entry, load
from taut.catalogue.text import inline

PAGE = Path(__file__).parent / "catalogue.md"

HEAD = """\
# What could be tuned

<!-- Made by docs/make_catalogue.py from src/taut/catalogue/data: change those, then run it again. -->

The catalogue holds {entries} hyperparameters of model architecture, training, inference and performance: for each a
prior, a range and a start for what you are doing, its names in libraries, what it goes with, and where all that was seen.
`taut init` writes studies from it; here and in the terminal it can be read:

```bash
taut catalogue                            # all, those with the most impact first
taut catalogue --library trl --context grpo_lora
taut catalogue lora_r                     # one in full
taut catalogue --per_device_train_batch_size
taut catalogue --json                     # for programs
```

```python
import taut
from taut import catalogue

lr = catalogue.match("--lr")  # the entry learning_rate
print(lr.setting("lora_sft").toml("lr"))  # lr = {{ loguniform = [1e-5, 0.002], start = 2e-4 }}
print(catalogue.match("beta", "trl", "dpo_full").name)  # dpo_beta: in TRL, beta has three meanings

names = ("learning_rate", "lora_r", "lora_dropout")
found = {{name: catalogue.entry(name).setting("lora_sft").prior for name in names}}
space = taut.Space.from_json(found)
```

## How to read it

- **seen** and **inferred**: a range is *seen* if the range or the list itself stands in a source. It is *inferred* if it was
  drawn here, around values that sources use. What a source says stands beside it, with what was looked at: the file itself,
  a whole page, only an abstract, or a report by others.
- **Impact** (high, medium, low) is a rating of our own, for a first choice of what to search.
- **Contexts**: {contexts}. `pytorch` is a network of any kind that is trained from scratch by a loop of one's own;
  `sklearn` stands for all estimators on tables.
- **Moves**: *quality* (loss, perplexity, accuracy, reward), *speed* (tokens and examples per second, GPU-hours), *memory*
  (peak of host and GPU).
- Names were looked up in: {libraries}.

A range is where to begin. If the best trials lie at its edge, widen it; if you know your model better, so does your range.

To mend or add something, edit `src/taut/catalogue/data/<family>.toml`; `load.py` beside it says how an entry is written, and
the tests hold each line against the schema, the spaces of taut and the libraries that are installed.
"""


def page() -> str:
    """The whole page."""
    entries = catalogue.entries()
    versions = ", ".join(info.checked for info in load.libraries().values() if info.url)
    head = HEAD.format(
        entries=len(entries),
        contexts=", ".join(f"`{context}`" for context in catalogue.CONTEXTS),
        libraries=versions,
    )
    parts = [head, *_couplings()]
    for family in catalogue.FAMILIES:
        own = catalogue.entries(family)
        parts.append(f"\n## {family.capitalize()}\n")
        parts += ["| name | impact | moves | what it is |", "|---|---|---|---|"]
        parts += [
            f"| [`{each.name}`](#{each.name}) | {each.impact} | {', '.join(each.affects)} | {each.summary} |"
            for each in own
        ]
        for each in own:
            parts += _entry(each)
    return "\n".join(parts) + "\n"


def _couplings() -> Iterator[str]:
    yield "\n## Couplings\n"
    yield (
        "Rules by which one parameter follows from others: lines for [space], where the numbers are typical and yours to\n"
        "change. Where a rule brings a parameter that no script has (such as learning_rate_ref), the command names its flags\n"
        "one by one, `--lr {learning_rate}`, instead of by `{args}`."
    )
    for rule in catalogue.couplings():
        yield f"\n**{rule.title}** ({rule.basis})\n"
        yield f"```\n{rule.toml()}\n```\n"
        yield _sentences(rule)


def _sentences(rule: Coupling) -> str:
    seen = "; ".join(f"[{source.title}]({source.url}): {source.says}" for source in rule.sources)
    return f"{rule.notes} {seen}.".strip()


def _entry(entry: Entry) -> Iterator[str]:
    yield f"\n### {entry.name}\n"
    matters = [f"where `{entry.when}`"] if entry.when else []
    matters += [entry.condition] if entry.condition else []
    yield " ".join(
        filter(None, [entry.summary, f"Matters: {'; '.join(matters)}." if matters else "", entry.notes])
    )
    if entry.settings:
        yield "\n```"
        for setting in entry.settings:
            yield setting.toml(entry.name)
            yield f"# {', '.join(setting.contexts)}: {setting.basis}{f' ({setting.why})' if setting.why else ''}"
        yield "```"
    if names := "; ".join(_names(entry)):
        yield f"\n- called: {names}"
    for title, lines in (
        ("goes with", [f"`{each.name}`: {each.how}" for each in entry.interactions]),
        ("versions", list(entry.versions)),
        ("seen", [f"[{each.title}]({each.url}) ({each.read}): {each.says}" for each in entry.sources]),
    ):
        if lines:
            yield f"- {title}: " + "; ".join(lines)


def _names(entry: Entry) -> Iterator[str]:
    for library in catalogue.LIBRARIES:
        words = []
        for alias in entry.aliases:
            if alias.owner == library:
                extras = [f"in {', '.join(alias.contexts)}"] if alias.contexts else []
                extras += ["the other way round"] if alias.inverted else []
                extras += [f"gone {alias.gone}"] if alias.gone else []
                words.append(f"`{alias.name}`" + (f" ({'; '.join(extras)})" if extras else ""))
        default = entry.defaults.get(library)
        said = default if isinstance(default, str | None) else inline(default)
        if words or default is not None:
            yield f"{library} {', '.join(words)}{f' (default {said})' if default is not None else ''}".replace(
                "  ", " "
            )


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--check", action="store_true", help="only say whether the page is out of date")
    if not parser.parse_args().check:
        PAGE.write_text(page(), encoding="utf-8")
    elif not PAGE.exists() or PAGE.read_text(encoding="utf-8") != page():
        sys.exit("docs/catalogue.md is out of date: python docs/make_catalogue.py")


if __name__ == "__main__":
    main()
