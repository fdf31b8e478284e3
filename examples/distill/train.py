"""Train a small language model on little text, with what a larger one that has read more thinks of it.

python train.py --soft_weight 0.5 --temperature 2    # one training by hand; taut calls `objective`
"""

import argparse
from collections.abc import Sequence
from functools import cache
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from transformers import AutoModelForCausalLM, LlamaConfig, LlamaForCausalLM

import taut
from taut.metrics.language import CrossEntropy, Divergence

BASE = Path(__file__).resolve().parent / "runs" / "base"
if not BASE.exists():
    raise FileNotFoundError(f"{BASE} is missing: python ../pretrain.py makes it")
DEVICE = "cuda" if torch.cuda.is_available() else "cpu"
if DEVICE == "cpu":
    torch.set_num_threads(1)  # one core for each worker


def arguments(words: Sequence[str] | None = None) -> argparse.Namespace:
    """The flags; those of the command line if `words` is left out."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--hidden", type=int, default=64, help="width of the student")
    parser.add_argument("--layers", type=int, default=1, help="of the student")
    parser.add_argument("--characters", type=int, default=10_000, help="text to train on")
    parser.add_argument("--held_out", type=int, default=20_000, help="characters to evaluate on")
    parser.add_argument("--passes", type=int, default=12, help="how often all of it is seen")
    parser.add_argument("--batch_size", type=int, default=8)
    parser.add_argument("--learning_rate", type=float, default=1e-2)
    parser.add_argument(
        "--soft_weight", type=float, default=0.5, help="0: only the text, 1: only the teacher"
    )
    parser.add_argument("--temperature", type=float, default=2.0, help="logits of both are divided by it")
    parser.add_argument("--direction", choices=["forward", "reverse"], default="forward")
    parser.add_argument("--seed", type=int, default=0)
    return parser.parse_args(words)


@cache
def load(name: str, characters: int) -> tuple[Tensor, Tensor]:
    """Rows of tokens (n, context), and what the teacher thinks of them, as logits (n, context, vocabulary). Once in each process."""
    tokens = torch.load(BASE / f"{name}.pt")
    tokens = tokens[: characters // tokens.shape[1]].to(DEVICE)
    teacher = AutoModelForCausalLM.from_pretrained(BASE).to(DEVICE).eval()
    with torch.no_grad():
        return tokens, torch.cat([teacher(input_ids=batch).logits for batch in tokens.split(64)])


def soft_loss(teacher: Tensor, student: Tensor, temperature: float, direction: str) -> Tensor:
    """Divergence in nats per token at a temperature, times temperature², so that gradients keep their size (Hinton et al., arXiv:1503.02531).

    forward: KL(teacher||student), for which the student must cover all that the teacher thinks possible. reverse: KL(student||teacher), for which it
    must keep to what the teacher thinks likely.
    """
    p, q = (F.log_softmax(logits.flatten(0, -2) / temperature, -1) for logits in (teacher, student))
    if direction == "reverse":
        p, q = q, p
    return temperature**2 * F.kl_div(
        q, p, log_target=True, reduction="batchmean"
    )  # of p from q: the order is PyTorch's


@torch.no_grad()
def evaluate(model: nn.Module, tokens: Tensor, teacher: Tensor) -> dict[str, float]:
    model.eval()
    loss = CrossEntropy(shift=True)
    apart = [Divergence(kind=kind, shift=True) for kind in ("forward", "reverse")]
    for batch, thought in zip(tokens.split(64), teacher.split(64), strict=True):
        logits = model(input_ids=batch).logits
        loss.update(logits, batch)
        for each in apart:
            each.update(thought, logits, batch)
    return {"eval_loss": loss.mean, "kl": apart[0].mean, "reverse_kl": apart[1].mean}


def train(args: argparse.Namespace) -> dict[str, float]:
    """On text that was not trained on: the student's loss, and its distance to the teacher, in nats per character."""
    tokens, teacher = load("prose.train", args.characters)
    torch.manual_seed(args.seed)
    sizes = {
        "hidden_size": args.hidden,
        "intermediate_size": 2 * args.hidden,
        "num_hidden_layers": args.layers,
        "head_dim": args.hidden // 4,
    }
    model = LlamaForCausalLM(LlamaConfig.from_pretrained(BASE, **sizes)).to(DEVICE).train()
    optimizer = torch.optim.AdamW(model.parameters(), lr=args.learning_rate)
    order = torch.cat([torch.randperm(len(tokens)) for _ in range(args.passes)])
    batches = order.split(args.batch_size)
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, args.learning_rate, total_steps=len(batches) + 1, pct_start=0.1
    )
    for batch in batches:
        output = model(input_ids=tokens[batch], labels=tokens[batch])
        loss = (1 - args.soft_weight) * output.loss
        if args.soft_weight > 0:
            soft = soft_loss(teacher[batch], output.logits, args.temperature, args.direction)
            loss = loss + args.soft_weight * soft
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        schedule.step()
        optimizer.zero_grad()
    return evaluate(model, *load("prose.held_out", args.held_out))


def objective(trial: taut.Trial) -> dict[str, float]:
    args = arguments([])
    vars(args).update(trial.params)
    return train(args)


def main() -> None:
    found = train(arguments())
    taut.report(**found)
    print(found)


if __name__ == "__main__":
    main()
