"""Make the model that is fine-tuned, in runs/model: a small Llama with random weights that reads stories of the wood.

    python pretrain.py                   # once, before any trial; some ten seconds

It stands for the model that one would download beforehand, where compute nodes have no network.
"""

from pathlib import Path

from stories import WOOD, blocks, stories, word_tokenizer
from transformers import LlamaConfig, LlamaForCausalLM, Trainer, TrainingArguments, set_seed

RUNS = Path(__file__).resolve().parent / "runs"


def main() -> None:
    tokenizer = word_tokenizer()
    set_seed(0)
    config = LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=64,
        intermediate_size=128,
        num_hidden_layers=2,
        num_attention_heads=4,
        max_position_embeddings=64,
        tie_word_embeddings=True,
        bos_token_id=None,
        eos_token_id=tokenizer.eos_token_id,
    )
    arguments = TrainingArguments(
        str(RUNS / "trainer"),
        learning_rate=3e-3,
        num_train_epochs=4,
        per_device_train_batch_size=16,
        save_strategy="no",
        report_to="none",
        use_cpu=True,
        dataloader_pin_memory=False,
    )
    model = LlamaForCausalLM(config)
    Trainer(model, arguments, train_dataset=blocks(stories(WOOD, 1200, seed=1), tokenizer)).train()
    for part in (model, tokenizer):
        part.save_pretrained(RUNS / "model")


if __name__ == "__main__":
    main()
