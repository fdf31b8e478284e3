"""A task of the array in taut: a worker that takes one trial after another until the study has its ten."""

from objective import RUNS, objective

import taut

study = taut.Study(
    RUNS / "array",
    minimize="eval_loss",
    trials=10,
    pruner={"method": "median", "startup": 3},
)
study.run(objective)
