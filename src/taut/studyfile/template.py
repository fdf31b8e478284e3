"""The study.toml that `taut init` writes when it has no script to look at."""

from __future__ import annotations

__all__ = ["TEMPLATE"]

TEMPLATE = """\
# A study for taut: what to run, what to tune, when to stop.
#   taut run THIS_FILE        runs it, or resumes it after an interruption
#   taut best THIS_FILE       shows the best parameters so far
# A line is `key = value`. Everything below a [table] belongs to that table.

name = @NAME@

# How a trial is evaluated: a command, run without a shell, in a directory of its own for each trial.
#   {args}         every parameter, as --name value (other spellings: style = "--k=v", "k=v" or "a.b=v")
#   {NAME}         the value of one parameter, for instance --lr {learning_rate}
#   {base}         the directory of this file       {trial_dir}  the trial's own directory
#   {trial}        the trial's number               {config}     a copy of the file config = "base.yaml"
#                                                                with the parameters in it
command = "python train.py {args}"
# function = "train:objective"              # instead of a command: objective() of train.py
# timeout = "30m"                           # for each trial
# seed = 0                                  # another seed, other suggestions

# What is measured. The command reports it by a line of JSON appended to the file $TAUT_REPORT,
# by taut.report(eval_loss=...) in Python, or as [results] below says.
minimize = "eval_loss"                      # or maximize = "accuracy"; a list for several
# subject_to = ["memory_gb <= 40"]          # conditions on other metrics
# warm_start = ["runs/first"]               # earlier studies of this metric to learn from

# What is tuned. Bounds are inclusive. Kinds: uniform, loguniform, normal, lognormal, uniform_int,
# loguniform_int, choice, ordinal, and expr for what follows from others.
[space]
learning_rate = { loguniform = [1e-5, 1e-2], start = 1e-3 }     # start: tried first
batch_size    = { ordinal = [16, 32, 64, 128] }                 # an ordered list
optimizer     = { choice = ["adam", "sgd"] }                    # an unordered one
momentum      = { uniform = [0.0, 0.99], when = "optimizer == 'sgd'" }
# warmup      = { expr = "4 * batch_size" }                     # computed, not searched

# When to stop; whichever comes first.
[budget]
trials = 50
# hours = 8                                 # of running
# until = "eval_loss <= 1.9"                # good enough

# How the next parameters are chosen; left out: auto, which learns from the trials so far.
# [sampler]
# method = "auto"                           # or gp, tpe, quasirandom, random, grid, ...

# Ends trials early that promise little, by what they report with a step: taut.report(step=1, eval_loss=...).
# [pruner]
# fidelity = { name = "epoch", min = 1, max = 27 }    # what steps count, and the step of a whole trial
# eta = 3                                   # of so many trials at a step one goes on (by method "asha")

# How a command's numbers come back, if not by $TAUT_REPORT.
# [results]
# stdout = 'eval_loss=(?P<eval_loss>\\S+)'   # a pattern for printed lines, or "hf": Hugging Face Trainer
# json = "results.json"                     # a file that the command writes into the trial's directory

# [on.local]
# workers = 4                               # trials at the same time on this machine

# The jobs of: taut run study.toml --on slurm
# [on.slurm]
# partition = "gpu"
# gpus = 1                                  # of one job; per_trial = { gpus = 1 } divides it
# time = "06:00:00"                         # of one job
# workers = 8                               # jobs at the same time
# setup = ["module load Python"]            # shell lines before the worker starts
"""
