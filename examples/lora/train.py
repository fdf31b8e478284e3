"""Teach a language model that knows prose to continue code, with LoRA adapters of peft.

python train.py --lora_r 8 --learning_rate 0.01      # one training by hand; taut calls `objective`
"""

import argparse
import time
from collections.abc import Sequence
from pathlib import Path

import torch
from peft import LoraConfig, get_peft_model
from torch import Tensor, nn
from transformers import AutoModelForCausalLM

import taut
from taut.metrics.language import CrossEntropy

BASE = Path(__file__).resolve().parent / "runs" / "base"
if not BASE.exists():
    raise FileNotFoundError(f"{BASE} is missing: python ../pretrain.py makes it")
DEVICE = "cuda" if torch.cuda.is_available() else "cpu"
if DEVICE == "cpu":
    torch.set_num_threads(1)  # one core for each worker
TARGETS = {"attention": ["q_proj", "v_proj"], "all": "all-linear"}  # which layers get an adapter


def arguments(words: Sequence[str] | None = None) -> argparse.Namespace:
    """The flags; those of the command line if `words` is left out."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--characters", type=int, default=20_000, help="text to train on")
    parser.add_argument("--held_out", type=int, default=20_000, help="characters to evaluate on")
    parser.add_argument("--passes", type=int, default=1, help="how often all of it is seen")
    parser.add_argument("--lora_r", type=int, default=8, help="rank of the adapters")
    parser.add_argument("--lora_alpha", type=float, default=16.0, help="adapters are scaled by alpha / rank")
    parser.add_argument("--target", choices=TARGETS, default="attention")
    parser.add_argument("--learning_rate", type=float, default=3e-3)
    parser.add_argument("--batch_size", type=int, default=8)
    parser.add_argument("--seed", type=int, default=0)
    return parser.parse_args(words)


def load(name: str, characters: int) -> Tensor:
    """Rows of tokens: (n, context)."""
    tokens = torch.load(BASE / f"{name}.pt")
    return tokens[: characters // tokens.shape[1]].to(DEVICE)


@torch.no_grad()
def evaluate(model: nn.Module, text: Tensor) -> CrossEntropy:
    model.eval()
    measured = CrossEntropy(shift=True)
    for batch in text.split(64):
        measured.update(model(input_ids=batch).logits, batch)
    return measured


def train(args: argparse.Namespace) -> dict[str, float]:
    """Loss on code that was not trained on, in nats per character, and how many weights were trained."""
    text = load("code.train", args.characters)
    torch.manual_seed(args.seed)
    adapters = LoraConfig(
        r=args.lora_r, lora_alpha=args.lora_alpha, target_modules=TARGETS[args.target], task_type="CAUSAL_LM"
    )
    model = get_peft_model(AutoModelForCausalLM.from_pretrained(BASE), adapters).to(DEVICE).train()
    weights = [weight for weight in model.parameters() if weight.requires_grad]
    optimizer = torch.optim.AdamW(weights, lr=args.learning_rate)
    order = torch.cat([torch.randperm(len(text)) for _ in range(args.passes)])
    batches = order.split(args.batch_size)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, len(batches))
    for batch in batches:
        model(input_ids=text[batch], labels=text[batch]).loss.backward()
        nn.utils.clip_grad_norm_(weights, 1.0)
        optimizer.step()
        schedule.step()
        optimizer.zero_grad()
    measured = evaluate(model, load("code.held_out", args.held_out))
    return {
        "eval_loss": measured.mean,
        "eval_loss_stderr": measured.stderr,
        "trained_weights": sum(weight.numel() for weight in weights),
    }


def objective(trial: taut.Trial) -> dict[str, float]:
    args = arguments([])
    vars(args).update(trial.params)
    return train(args)


def main() -> None:
    begin = time.perf_counter()
    found = train(arguments())
    taut.report(**found)
    print(found, f"{time.perf_counter() - begin:.1f} s")


if __name__ == "__main__":
    main()
