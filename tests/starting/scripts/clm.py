"""Train a tiny language model of bytes on one file: an ordinary script with HfArgumentParser and the Trainer."""

from dataclasses import dataclass, field
from pathlib import Path

import torch
from transformers import GPT2Config, GPT2LMHeadModel, HfArgumentParser, Trainer, TrainingArguments


@dataclass
class ScriptArguments:
    model_name: str = field(default="tiny", metadata={"help": "which tiny model"})
    text: Path = field(default=Path("clm.py"), metadata={"help": "what to read"})
    hidden: int = 32


class Bytes(torch.utils.data.Dataset):
    def __init__(self, data, length=32):
        self.rows = [data[i : i + length] for i in range(0, len(data) - length, length)]

    def __len__(self):
        return len(self.rows)

    def __getitem__(self, i):
        row = torch.tensor(list(self.rows[i]))
        return {"input_ids": row, "labels": row}


def main():
    parser = HfArgumentParser((ScriptArguments, TrainingArguments))
    script, args = parser.parse_args_into_dataclasses()
    torch.manual_seed(args.seed)
    torch.set_num_threads(1)
    model = GPT2LMHeadModel(
        GPT2Config(vocab_size=256, n_positions=32, n_embd=script.hidden, n_layer=1, n_head=2)
    )
    data = Path(script.text).read_bytes()
    cut = len(data) * 3 // 4
    trainer = Trainer(model=model, args=args, train_dataset=Bytes(data[:cut]), eval_dataset=Bytes(data[cut:]))
    trainer.train()


if __name__ == "__main__":
    main()
