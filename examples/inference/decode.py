"""Let a language model continue texts: how like the true continuation, how repetitive, and how fast, for one way to decode.

python decode.py --mode beams --num_beams 4          # one way by hand; taut calls `objective`
"""

import argparse
from collections import Counter
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from transformers import AutoModelForCausalLM, GenerationConfig

import taut
from taut.metrics.meters import Throughput

BASE = Path(__file__).resolve().parent / "runs" / "base"
if not BASE.exists():
    raise FileNotFoundError(f"{BASE} is missing: python ../pretrain.py makes it")
DEVICE = "cuda" if torch.cuda.is_available() else "cpu"
if DEVICE == "cpu":
    torch.set_num_threads(1)  # one core for each worker


def arguments(words: Sequence[str] | None = None) -> argparse.Namespace:
    """The flags; those of the command line if `words` is left out."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "--texts", type=int, default=160, help="half of each is given, the other half is to be found"
    )
    parser.add_argument("--batch_size", type=int, default=32, help="texts that are continued side by side")
    parser.add_argument("--mode", choices=["sample", "beams"], default="sample")
    parser.add_argument("--temperature", type=float, default=1.0)
    parser.add_argument("--top_k", type=int, default=0, help="of so many tokens one is drawn; 0: of all")
    parser.add_argument("--num_beams", type=int, default=1)
    parser.add_argument("--repetition_penalty", type=float, default=1.0)
    parser.add_argument("--seed", type=int, default=0)
    return parser.parse_args(words)


@cache
def load() -> tuple[Any, Tensor]:
    """The model, and texts that it was not trained on: (n, context). Once in each process."""
    model = AutoModelForCausalLM.from_pretrained(BASE).to(DEVICE).eval()
    return model, torch.load(BASE / "prose.held_out.pt").to(DEVICE)


# ------------------------------------------------------------------------------------------- metrics


def grams(text: str, n: int) -> Counter[str]:
    return Counter(text[begin : begin + n] for begin in range(len(text) - n + 1))


def chrf(found: Sequence[str], true: Sequence[str], order: int = 6, beta: float = 2.0) -> float:
    """How many runs of 1 to 6 characters two lists of texts share, from 0 to 100, whatever the white space (Popović, WMT 2015).

    An F-score in which finding what is true counts `beta` times as much as saying nothing else.
    """
    scores = []
    for n in range(1, order + 1):
        shared = said = wanted = 0
        for one, other in zip(found, true, strict=True):
            a, b = grams("".join(one.split()), n), grams("".join(other.split()), n)
            shared, said, wanted = shared + (a & b).total(), said + a.total(), wanted + b.total()
        precision, recall = shared / max(said, 1), shared / max(wanted, 1)
        both = beta**2 * precision + recall
        scores.append((1 + beta**2) * precision * recall / both if both else 0.0)
    return 100 * sum(scores) / order


def repeated(texts: Sequence[str], n: int = 8) -> float:
    """The share of runs of 8 characters that were in the same text before: 0 if none."""
    counts = [grams(text, n) for text in texts]
    return 1 - sum(map(len, counts)) / sum(count.total() for count in counts)


# ----------------------------------------------------------------------------------------- one trial


def decode(args: argparse.Namespace) -> dict[str, float]:
    model, texts = load()
    texts = texts[: args.texts]
    given, true = texts.tensor_split(2, dim=1)
    length = true.shape[1]
    if args.mode == "sample":
        how = {"do_sample": True, "temperature": args.temperature, "top_k": args.top_k}
    else:
        how = {"do_sample": False, "num_beams": args.num_beams}
    config = GenerationConfig(
        **how, repetition_penalty=args.repetition_penalty, max_new_tokens=length, pad_token_id=0
    )
    torch.manual_seed(args.seed)
    meter = Throughput(warmup=1)
    found = []
    for batch in given.split(args.batch_size):
        whole = model.generate(batch, attention_mask=torch.ones_like(batch), generation_config=config)
        meter.tick(sequences=len(batch))
        found += written(whole[:, -length:])
    return {
        "chrf": chrf(found, written(true)),
        "repeated": repeated(found),
        "seq_per_s": meter.values["sequences_per_second"],
    }


def written(tokens: Tensor) -> list[str]:
    return [bytes(row).decode("ascii") for row in tokens.tolist()]


def objective(trial: taut.Trial) -> dict[str, float]:
    args = arguments([])
    vars(args).update(trial.params)
    return decode(args)


def main() -> None:
    found = decode(arguments())
    taut.report(**found)
    print(found)


if __name__ == "__main__":
    main()
