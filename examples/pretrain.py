"""Make the language model that the examples lora, inference and distill begin with, and the text that they use.

    python ../pretrain.py                # in one of these directories, once: writes runs/base; half a minute on one core

The model is a Llama with random weights that learns to continue the docstrings of Python's own standard library, character by character. It stands
for the model that one would download beforehand. Of each kind of text there is a part to train on and one to evaluate on:

    prose        docstrings                  code        the same modules without docstrings and comments
"""

import argparse
import ast
import sys
import sysconfig
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import torch
from torch import Tensor
from transformers import LlamaConfig, LlamaForCausalLM

DOCUMENTED = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
HELD_OUT = 4  # every fourth module is for evaluation


# ---------------------------------------------------------------------------------------------- text


def separate(path: Path) -> tuple[str, str]:
    """The docstrings of a source file, and its code without them; nothing if this Python cannot read it."""
    try:
        tree = ast.parse(path.read_bytes())
    except (SyntaxError, ValueError):
        return "", ""
    prose = []
    for node in ast.walk(tree):
        if isinstance(node, DOCUMENTED) and (text := ast.get_docstring(node)):
            prose.append(text)
            node.body = node.body[1:] or [ast.Pass()]
    return "\n\n".join(prose) + "\n\n", ast.unparse(tree) + "\n\n"


def modules(folders: Sequence[Path]) -> Iterator[Path]:
    """All modules below some directories; without any those of Python's own library."""
    if folders:
        yield from sorted(path for folder in folders for path in folder.rglob("*.py"))
        return
    library = Path(sysconfig.get_path("stdlib"))
    for name in sorted(sys.stdlib_module_names):
        if name[0] != "_" and (path := library / f"{name}.py").exists():
            yield path


def text(paths: Iterable[Path], size: int) -> dict[str, str]:
    """Each kind of text: `size` characters to train on, and a tenth of that to evaluate on, from different modules."""
    wanted = {
        f"{kind}.{side}": length
        for kind in ("prose", "code")
        for side, length in (("train", size), ("held_out", size // 10))
    }
    parts = dict.fromkeys(wanted, "")
    for number, path in enumerate(paths):
        side = "held_out" if number % HELD_OUT == HELD_OUT - 1 else "train"
        names = (f"prose.{side}", f"code.{side}")
        if any(len(parts[name]) < wanted[name] for name in names):
            for name, more in zip(names, separate(path), strict=True):
                parts[name] += more.encode("ascii", "ignore").decode()
    for name, found in parts.items():
        if len(found) < wanted[name]:
            raise SystemExit(
                f"{name}: only {len(found)} characters of {wanted[name]}; take fewer --characters, "
                "or name directories with more modules, as in --modules .venv/lib"
            )
    return {name: found[: wanted[name]] for name, found in parts.items()}


def rows(found: str, context: int) -> Tensor:
    """A text in rows of `context` tokens: (n, context). A token is the code of an ASCII character."""
    codes = torch.tensor(list(found.encode()))
    return codes[: len(codes) // context * context].view(-1, context)


# --------------------------------------------------------------------------------------------- model


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, default=Path("runs/base"))
    parser.add_argument("--hidden", type=int, default=64, help="width of the model, a multiple of --heads")
    parser.add_argument("--layers", type=int, default=2)
    parser.add_argument("--heads", type=int, default=4)
    parser.add_argument("--context", type=int, default=128, help="characters that the model sees at once")
    parser.add_argument("--characters", type=int, default=400_000, help="of each kind of text, to train on")
    parser.add_argument("--modules", type=Path, nargs="+", default=[], help="directories to read instead")
    parser.add_argument("--steps", type=int, default=400)
    parser.add_argument("--batch_size", type=int, default=16)
    parser.add_argument("--learning_rate", type=float, default=5e-3)
    parser.add_argument("--seed", type=int, default=0)
    return parser.parse_args()


def main() -> None:
    args = arguments()
    device = "cuda" if torch.cuda.is_available() else "cpu"
    if device == "cpu":
        torch.set_num_threads(1)  # as in the trials
    torch.manual_seed(args.seed)
    args.out.mkdir(parents=True, exist_ok=True)
    texts = {
        name: rows(found, args.context)
        for name, found in text(modules(args.modules), args.characters).items()
    }
    for name, tokens in texts.items():
        torch.save(tokens, args.out / f"{name}.pt")

    config = LlamaConfig(
        vocab_size=128,
        hidden_size=args.hidden,
        intermediate_size=2 * args.hidden,
        num_hidden_layers=args.layers,
        num_attention_heads=args.heads,
        max_position_embeddings=2 * args.context,
        tie_word_embeddings=True,
        bos_token_id=None,
        eos_token_id=None,
        pad_token_id=0,
    )
    model = LlamaForCausalLM(config).to(device).train()
    optimizer = torch.optim.AdamW(model.parameters(), lr=args.learning_rate)
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, args.learning_rate, total_steps=args.steps + 1, pct_start=0.1
    )
    for step in range(1, args.steps + 1):
        chosen = torch.randint(len(texts["prose.train"]), (args.batch_size,))
        batch = texts["prose.train"][chosen].to(device)
        loss = model(input_ids=batch, labels=batch).loss
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        schedule.step()
        optimizer.zero_grad()
        if step % 100 == 0 or step == args.steps:
            print(f"step {step} of {args.steps}: loss={loss.item():.3f}", flush=True)
    model.save_pretrained(args.out)


if __name__ == "__main__":
    main()
