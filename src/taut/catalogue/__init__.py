"""What could be tuned: hyperparameters with sourced ranges, priors, starts, names in libraries, and couplings.

    from taut import catalogue

    lr = catalogue.match("--lr")                    # the entry learning_rate
    print(lr.setting("lora_sft").toml("lr"))        # lr = { loguniform = [1e-5, 2e-3], start = 2e-4 }

The knowledge lies in data files (data/*.toml), to be read and mended by hand. Ranges are marked "seen" where they stand
in a source, and "inferred" where they were drawn around values that sources use.

names       families, contexts, libraries, one spelling for flags
entry       the schema: Entry, Setting, Alias, Interaction, Source
coupling    one parameter that follows from others
text        values as study.toml spells them
load        reading the files
find        from a flag to an entry
"""

from __future__ import annotations

from taut.catalogue.coupling import Coupling
from taut.catalogue.entry import Alias, Entry, Interaction, Setting, Source
from taut.catalogue.find import couplings, entries, entry, match, meanings
from taut.catalogue.names import CONTEXTS, FAMILIES, LIBRARIES

__all__ = [
    "CONTEXTS",
    "FAMILIES",
    "LIBRARIES",
    "Alias",
    "Coupling",
    "Entry",
    "Interaction",
    "Setting",
    "Source",
    "couplings",
    "entries",
    "entry",
    "match",
    "meanings",
]
