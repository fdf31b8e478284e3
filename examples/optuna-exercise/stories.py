"""Stories that nobody wrote: what a small language model is trained on, so that nothing has to be downloaded."""

import random
from collections.abc import Iterable
from typing import NamedTuple

from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from tokenizers.pre_tokenizers import WhitespaceSplit
from transformers import PreTrainedTokenizerFast

END = "<end>"  # after each story


class World(NamedTuple):
    """Words of which stories are made. deeds: what is done with a thing, and how that turns out."""

    heroes: list[str]
    things: list[str]
    places: list[str]
    deeds: list[tuple[str, str]]


WOOD = World(
    ["fox", "owl", "bear", "mouse", "deer", "crow", "toad", "hare"],
    ["nut", "leaf", "feather", "berry", "twig", "mushroom", "acorn", "stone"],
    ["oak", "brook", "hollow", "meadow", "hill", "thicket", "pond", "path"],
    [("hid", "proud"), ("dropped", "sad"), ("painted", "glad"), ("shared", "warm"), ("ate", "sleepy")],
)
HARBOUR = World(
    ["sailor", "gull", "captain", "cook", "crab", "pilot", "seal", "diver"],
    ["rope", "anchor", "lantern", "map", "barrel", "compass", "net", "flag"],
    ["pier", "deck", "lighthouse", "reef", "cabin", "buoy", "quay", "mast"],
    [("mended", "proud"), ("lost", "sad"), ("raised", "glad"), ("traded", "cold"), ("sank", "afraid")],
)


def story(world: World, chance: random.Random) -> str:
    """Some twenty to forty words; what comes at the end follows from the beginning."""
    hero, friend = chance.sample(world.heroes, 2)
    thing, other = chance.sample(world.things, 2)
    (deed, mood), place = chance.choice(world.deeds), chance.choice(world.places)
    parts = [f"one day the {hero} {deed} a {thing} at the {place} ."]
    if chance.random() < 0.5:
        parts.append(f"the {friend} came by with a {other} and asked why .")
    parts.append(f"the {hero} was {mood} because of the {thing} .")
    if chance.random() < 0.5:
        parts.append(f"so the {friend} and the {hero} left the {place} together .")
    return " ".join([*parts, END])


def stories(world: World, count: int, seed: int) -> list[str]:
    chance = random.Random(seed)
    return [story(world, chance) for _ in range(count)]


def word_tokenizer() -> PreTrainedTokenizerFast:
    """A token for each word that occurs in either world."""
    words = {word for world in (WOOD, HARBOUR) for text in stories(world, 1000, 0) for word in text.split()}
    raw = Tokenizer(WordLevel({word: code for code, word in enumerate(sorted(words))}, unk_token=END))
    raw.pre_tokenizer = WhitespaceSplit()
    return PreTrainedTokenizerFast(tokenizer_object=raw, eos_token=END, unk_token=END)


def blocks(
    texts: Iterable[str], tokenizer: PreTrainedTokenizerFast, length: int = 64
) -> list[dict[str, list[int]]]:
    """The texts in a row, cut into pieces of `length` tokens: no padding, so every batch counts for what it is."""
    codes = tokenizer(" ".join(texts))["input_ids"]
    pieces = [codes[begin : begin + length] for begin in range(0, len(codes) - length + 1, length)]
    return [{"input_ids": piece, "labels": piece} for piece in pieces]
