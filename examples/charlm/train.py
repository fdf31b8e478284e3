"""Tune a small character-level transformer, as a warm worker.

    python train.py                      # start it again in another terminal, or in ten jobs of an array

Each process that runs this script is one worker of the same study. It loads PyTorch and the text once and
then trains one model after another, until the study has as many finished trials as asked for.
"""

import argparse
import ast
import math
import sys
import sysconfig
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

import taut

SPACE = taut.Space(
    learning_rate=taut.loguniform(3e-4, 3e-2, start=3e-3, belief="medium"),
    warmup=taut.uniform(0.0, 1.0, start=0.4),  # epochs over which the learning rate rises
    weight_decay=taut.loguniform(1e-3, 1.0, start=1e-1),
    dropout=taut.uniform(0.0, 0.3, step=0.05, start=0.0),
    layers=taut.uniform_int(1, 3, start=2),
    heads=taut.ordinal([1, 2, 4], start=2),
    width=taut.expr("16 * heads"),  # follows heads: each head keeps 16 numbers for a character
    activation=taut.choice(["gelu", "relu"]),
)

CHARACTERS = "\n" + "".join(map(chr, range(32, 127)))  # the vocabulary; anything else is left out


# ---------------------------------------------------------------------------------------------- text


def docstrings(path: Path) -> list[str]:
    """The docstrings of one source file, in the order in which they stand there."""
    documented = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
    nodes = [node for node in ast.walk(ast.parse(path.read_bytes())) if isinstance(node, documented)]
    nodes.sort(key=lambda node: getattr(node, "lineno", 0))
    return [text for node in nodes if (text := ast.get_docstring(node))]


def load_text(size: int) -> tuple[Tensor, Tensor]:
    """Character codes for training and for evaluation, `size` in all, from Python's own docstrings.

    Whole modules go to one side or the other, every tenth to evaluation, and a docstring that occurs
    twice is used once: the model is never evaluated on what it was trained on.
    """
    library = Path(sysconfig.get_path("stdlib"))
    index = {character: code for code, character in enumerate(CHARACTERS)}
    wanted = (size - size // 10, size // 10)
    parts: tuple[list[int], list[int]] = ([], [])
    seen: set[str] = set()
    names = [name for name in sorted(sys.stdlib_module_names) if not name.startswith("_")]
    paths = [path for name in names if (path := library / f"{name}.py").exists()]
    for number, path in enumerate(paths):
        side = int(number % 10 == 9)
        if len(parts[side]) >= wanted[side]:
            continue
        for text in docstrings(path):
            if text not in seen:
                seen.add(text)
                parts[side].extend(index[c] for c in text + "\n\n" if c in index)
    for part, length in zip(parts, wanted, strict=True):
        if len(part) < length:
            raise SystemExit(f"only {len(part)} characters of {length} in {library}; try --characters 100000")
    return torch.tensor(parts[0][: wanted[0]]), torch.tensor(parts[1][: wanted[1]])


# --------------------------------------------------------------------------------------------- model


class Block(nn.Module):
    """Causal self-attention, then two dense layers, each added to what came in."""

    def __init__(self, width: int, heads: int, dropout: float, activation: str) -> None:
        super().__init__()
        self.heads = heads
        self.before_attention, self.before_dense = nn.LayerNorm(width), nn.LayerNorm(width)
        self.query_key_value = nn.Linear(width, 3 * width, bias=False)
        self.mix = nn.Linear(width, width, bias=False)
        self.dense = nn.Sequential(
            nn.Linear(width, 4 * width),
            nn.GELU() if activation == "gelu" else nn.ReLU(),
            nn.Linear(4 * width, width),
        )
        self.dropout = nn.Dropout(dropout)

    def attend(self, x: Tensor) -> Tensor:
        batch, length, width = x.shape
        split = self.query_key_value(x).view(batch, length, 3, self.heads, width // self.heads)
        query, key, value = split.permute(2, 0, 3, 1, 4)  # each (batch, heads, length, width of a head)
        mixed = F.scaled_dot_product_attention(query, key, value, is_causal=True)
        return self.mix(mixed.transpose(1, 2).reshape(batch, length, width))

    def forward(self, x: Tensor) -> Tensor:
        x = x + self.dropout(self.attend(self.before_attention(x)))
        return x + self.dropout(self.dense(self.before_dense(x)))


class CharacterModel(nn.Module):
    """Scores for the next character at every place of a text."""

    def __init__(
        self, context: int, *, layers: int, heads: int, width: int, dropout: float, activation: str
    ) -> None:
        super().__init__()
        self.character = nn.Embedding(len(CHARACTERS), width)
        self.place = nn.Embedding(context, width)
        self.blocks = nn.Sequential(*(Block(width, heads, dropout, activation) for _ in range(layers)))
        self.norm = nn.LayerNorm(width)
        self.scores = nn.Linear(width, len(CHARACTERS), bias=False)
        self.scores.weight = self.character.weight  # one table for reading and writing a character
        nn.init.normal_(self.character.weight, std=0.02)
        nn.init.normal_(self.place.weight, std=0.02)

    def forward(self, codes: Tensor) -> Tensor:
        x = self.character(codes) + self.place.weight[: codes.shape[1]]
        return self.scores(self.norm(self.blocks(x)))

    def loss(self, codes: Tensor) -> Tensor:
        """Mean cross-entropy in nats per character; codes: (batch, context + 1)."""
        scores = self(codes[:, :-1])
        return F.cross_entropy(scores.flatten(0, 1), codes[:, 1:].flatten())


# ------------------------------------------------------------------------------------------ training


def train_epoch(
    model: CharacterModel,
    optimizer: torch.optim.Optimizer,
    schedule: torch.optim.lr_scheduler.LRScheduler,
    text: Tensor,
    args: argparse.Namespace,
) -> None:
    """One pass over the text in windows that start at a random place and come in random order."""
    model.train()
    start = int(torch.randint(args.context, ()))
    windows = text[start:].unfold(0, args.context + 1, args.context)
    for batch in torch.randperm(len(windows)).split(args.batch_size):
        optimizer.zero_grad()
        model.loss(windows[batch]).backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        schedule.step()


@torch.no_grad()
def evaluate(model: CharacterModel, text: Tensor, args: argparse.Namespace) -> float:
    model.eval()
    windows = text.unfold(0, args.context + 1, args.context)
    total = sum(model.loss(batch).item() * len(batch) for batch in windows.split(128))
    return total / len(windows)


# -------------------------------------------------------------------------------------- checkpoints


def save(folder: Path, epoch: int, **parts: Any) -> None:
    """Keep all that the next epoch depends on, whole or not at all."""
    states = {name: part.state_dict() for name, part in parts.items()}
    torch.save({"epoch": epoch, "random": torch.get_rng_state(), **states}, folder / "state.tmp")
    (folder / "state.tmp").replace(folder / "state.pt")


def restore(folder: Path | None, **parts: Any) -> int:
    """The epochs that are done; `folder` is where an earlier attempt saved them, if there was one."""
    if folder is None or not (folder / "state.pt").exists():
        return 0
    saved = torch.load(folder / "state.pt")
    for name, part in parts.items():
        part.load_state_dict(saved[name])
    torch.set_rng_state(saved["random"])
    return saved["epoch"]


# ----------------------------------------------------------------------------------------- one trial


def train(trial: taut.Trial, training: Tensor, held_out: Tensor, args: argparse.Namespace) -> float | None:
    """Train one model, from where an earlier attempt at it was left; its loss, or None if it goes on later.

    Every epoch is reported and saved, so that the trial can end after each: because a pruner wants it to, because the job ends,
    or because the worker is killed. Whoever goes on comes to the same result as without the break.
    """
    params = dict(trial.params)
    torch.manual_seed(args.seed)
    rate, warmup, decay = (params.pop(name) for name in ("learning_rate", "warmup", "weight_decay"))
    model = CharacterModel(args.context, **params)
    optimizer = torch.optim.AdamW(model.parameters(), lr=rate, weight_decay=decay)
    steps = args.epochs * math.ceil(len(training) / args.context / args.batch_size)
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimizer,
        rate,
        total_steps=steps + 1,
        pct_start=max(warmup / args.epochs, 1 / steps),
        cycle_momentum=False,
    )
    parts = {"model": model, "optimizer": optimizer, "schedule": schedule}
    loss = math.nan
    for epoch in range(restore(trial.resumed_from, **parts) + 1, args.epochs + 1):
        train_epoch(model, optimizer, schedule, training, args)
        loss = evaluate(model, held_out, args)
        print(f"trial {trial.number}: epoch {epoch} of {args.epochs}: eval_loss={loss:.4f}", flush=True)
        trial.report(step=epoch, eval_loss=loss)
        if epoch == args.epochs:
            break
        save(trial.checkpoint_dir, epoch, **parts)
        if trial.should_stop():  # for good, or until it is promoted: then it goes on from here
            break
        if trial.should_checkpoint():  # this job ends soon
            trial.pause()
            return None
    return loss


# ---------------------------------------------------------------------------------------------- main


def count(text: str) -> int:
    """A flag's value that must be a whole number above 0."""
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError(f"{value} must be at least 1")
    return value


def arguments(words: Sequence[str] | None = None) -> argparse.Namespace:
    """The flags; those of the command line if `words` is left out."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    here = Path(__file__).resolve().parent
    parser.add_argument("--dir", type=Path, default=here / "runs" / "charlm", help="the study's directory")
    parser.add_argument("--trials", type=count, default=30, help="finished trials of all workers together")
    parser.add_argument("--epochs", type=count, default=4)
    parser.add_argument("--characters", type=count, default=300_000, help="text for training and evaluation")
    parser.add_argument("--context", type=count, default=64, help="characters that the model sees at once")
    parser.add_argument("--batch_size", type=count, default=16)
    parser.add_argument("--seed", type=int, default=0, help="initial weights and order of the text")
    args = parser.parse_args(words)
    if args.characters < 20 * (args.context + 1):
        parser.error(f"--characters {args.characters}: at least {20 * (args.context + 1)} for this --context")
    return args


def main() -> None:
    args = arguments()
    torch.set_num_threads(1)  # one core for each worker: several on a machine do not get in each other's way
    training, held_out = load_text(args.characters)  # once, before the loop: what a warm worker is for

    study = taut.Study(args.dir, SPACE, minimize="eval_loss", trials=args.trials)
    for trial in study.work():
        loss = train(trial, training, held_out, args)
        if loss is not None:
            trial.tell(eval_loss=loss)

    if any(trial.state == "complete" for trial in study.trials):
        best = study.best
        print(f"best: trial {best.number}: eval_loss={best.values['eval_loss']:.4f} {best.params}")


if __name__ == "__main__":
    main()
