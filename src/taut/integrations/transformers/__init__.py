"""taut for trainers of Hugging Face: transformers' Trainer and its subclasses, TRL's among them.

    TautCallback            reports, prunes, saves and resumes; for a Trainer that an objective or a script builds
    hyperparameter_search   that of the Trainer, with taut in place of a backend
    arguments               a trial's parameters as TrainingArguments, SFTConfig, LoraConfig, ...
    resume_from             the checkpoint that a trial goes on from
    TokenLoss               a held-out loss that does not depend on the batch size

Several ranks: `taut.integrations.torch.run`.
"""

from taut.integrations.transformers.arguments import arguments
from taut.integrations.transformers.callback import TautCallback
from taut.integrations.transformers.checkpoints import resume_from
from taut.integrations.transformers.search import hyperparameter_search
from taut.integrations.transformers.tokenloss import TokenLoss

__all__ = ["TautCallback", "TokenLoss", "arguments", "hyperparameter_search", "resume_from"]
