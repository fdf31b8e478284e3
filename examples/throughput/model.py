"""A small causal transformer, and two ways to put sequences of different lengths into one batch."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

VOCABULARY = 256
CONTEXT = 256  # tokens that a row has at most
IGNORED = -100  # a target that does not count


class Batch(NamedTuple):
    """Rows of tokens. mask: which tokens each token sees; None where it is all that stand before it."""

    tokens: Tensor  # (rows, length)
    targets: Tensor  # (rows, length): the token after each, IGNORED where there is none
    positions: Tensor  # (rows, length): counted from the beginning of each sequence
    mask: Tensor | None  # (rows, 1, length, length)


def padded(sequences: Sequence[Tensor]) -> Batch:
    """One row for each sequence, filled up to the longest. What is filled in comes last, so nothing before it sees it."""
    return _rows([[sequence] for sequence in sequences])


def packed(sequences: Sequence[Tensor]) -> Batch:
    """Several sequences in a row, each put where it fits first, the longest first; none sees another."""
    rows: list[list[Tensor]] = []
    for sequence in sorted(sequences, key=len, reverse=True):
        row = next((row for row in rows if sum(map(len, row)) + len(sequence) <= CONTEXT), None)
        if row is None:
            rows.append(row := [])
        row.append(sequence)
    batch = _rows(rows)
    length = batch.tokens.shape[1]
    owner = torch.full((len(rows), length), -1)
    for number, row in enumerate(rows):
        lengths = torch.tensor([len(sequence) for sequence in row])
        owner[number, : int(lengths.sum())] = torch.arange(len(row)).repeat_interleave(lengths)
    same = owner[:, :, None] == owner[:, None, :]
    return batch._replace(mask=same.tril()[:, None])


def _rows(rows: Sequence[Sequence[Tensor]]) -> Batch:
    length = max(sum(map(len, row)) for row in rows)
    shape = (len(rows), length)
    tokens, positions = torch.zeros(shape, dtype=torch.long), torch.zeros(shape, dtype=torch.long)
    targets = torch.full(shape, IGNORED)
    for number, row in enumerate(rows):
        begin = 0
        for sequence in row:
            end = begin + len(sequence)
            tokens[number, begin:end] = sequence
            targets[number, begin : end - 1] = sequence[1:]
            positions[number, begin:end] = torch.arange(len(sequence))
            begin = end
    return Batch(tokens, targets, positions, None)


class Block(nn.Module):
    """Causal self-attention, then two dense layers, each added to what came in."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.before_attention, self.before_dense = nn.LayerNorm(width), nn.LayerNorm(width)
        self.query_key_value, self.out = nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.dense = nn.Sequential(nn.Linear(width, 4 * width), nn.GELU(), nn.Linear(4 * width, width))

    def forward(self, x: Tensor, mask: Tensor | None) -> Tensor:
        rows, length, width = x.shape
        parts = self.query_key_value(self.before_attention(x)).view(rows, length, 3, self.heads, -1)
        query, key, value = parts.permute(2, 0, 3, 1, 4)
        mixed = F.scaled_dot_product_attention(query, key, value, attn_mask=mask, is_causal=mask is None)
        x = x + self.out(mixed.transpose(1, 2).reshape(rows, length, width))
        return x + self.dense(self.before_dense(x))


class LanguageModel(nn.Module):
    """Predicts the next token."""

    def __init__(self, width: int = 64, heads: int = 4, layers: int = 2) -> None:
        super().__init__()
        self.token, self.position = nn.Embedding(VOCABULARY, width), nn.Embedding(CONTEXT, width)
        self.blocks = nn.ModuleList(Block(width, heads) for _ in range(layers))
        self.last = nn.LayerNorm(width)
        self.head = nn.Linear(width, VOCABULARY)

    def loss(self, batch: Batch) -> Tensor:
        """Cross-entropy of all targets, in nats per token."""
        x = self.token(batch.tokens) + self.position(batch.positions)
        for block in self.blocks:
            x = block(x, batch.mask)
        scores = self.head(self.last(x)).flatten(0, 1).float()
        return F.cross_entropy(scores, batch.targets.flatten(), ignore_index=IGNORED)
