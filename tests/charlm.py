"""examples/charlm with and without its pruner, made small, and what both have to come to."""

from __future__ import annotations

import re
import shutil
from collections import Counter
from pathlib import Path

import taut
from taut.opening import make_proposals
from taut.trial import State
from taut.verify import verify

EXAMPLE = Path(__file__).parents[1] / "examples" / "charlm"
EPOCHS = 9
RUNGS = {1.0, 3.0}  # and the last epoch
SIZE = '["--epochs", "9", "--characters", "100000"]'
SMALL = '[*"--epochs 9 --characters 20000 --context 32 --batch_size 16".split()]'
HEAD = 'name = "{}"\nseed = 0\nretries = 20  # here workers die more often than they do\n'


def prepare(folder: Path, name: str, trials: int) -> None:
    """Write study.toml, and full.toml with the same configurations and no pruner, and the code of both."""
    shutil.copy(EXAMPLE / "train.py", folder)
    objective, asha = ((EXAMPLE / file).read_text() for file in ("objective.py", "asha.toml"))
    assert SIZE in objective and "trials = 27\n" in asha
    (folder / "objective.py").write_text(objective.replace(SIZE, SMALL))
    asha = re.sub(r"\[on\.slurm\].*", "", asha, flags=re.DOTALL)
    asha = asha.replace("trials = 27\n", f'trials = {trials}\n\n[sampler]\nmethod = "random"\n')
    (folder / "study.toml").write_text(HEAD.format(name) + asha)
    (folder / "full.toml").write_text(
        HEAD.format("full") + re.sub(r"\[pruner\].*?(?=\[budget\])", "", asha, flags=re.DOTALL)
    )


def trained(study: Path) -> Counter[tuple[int, int]]:
    """How often each epoch of each trial was trained to its end, as the trials themselves said."""
    said = "".join(path.read_text() for path in study.glob("trials/*/stdout*"))
    rows = re.findall(r"^trial (\d+): epoch (\d+) of 9: eval_loss=", said, flags=re.MULTILINE)
    return Counter((int(trial), int(epoch)) for trial, epoch in rows)


def losses(study: taut.Study) -> dict[tuple[int, float], float]:
    """By trial and epoch, what was reported; the same epoch of the same trial has the same loss in every attempt."""
    found: dict[tuple[int, float], float] = {}
    for event in study.snapshot.curves.heard:
        loss = event.y["eval_loss"]
        assert loss is not None and found.setdefault((event.n, event.s), loss) == loss, event
    return found


def compare(study: Path, full: Path, kills: int) -> str:
    """Check a study with a pruner, whose workers were killed so often, against one without; what to say of the two."""
    pruned, whole = taut.Study(study), taut.Study(full)
    snapshot, trials = pruned.snapshot, len(whole.trials)
    assert whole.snapshot.counts[State.COMPLETE] == trials == len(pruned.trials)
    for trial in pruned.trials:
        waits = snapshot.waiting.get(trial.number) in RUNGS
        assert trial.state == "complete" or (trial.state == "paused" and waits), trial

    # Breaks and new workers left no trace: every loss is that of the run without them, to the last bit.
    with_breaks, without = losses(pruned), losses(whole)
    assert set(without) == {(n, float(epoch)) for n in range(trials) for epoch in range(1, EPOCHS + 1)}
    assert all(loss == without[key] for key, loss in with_breaks.items())
    for trial in pruned.trials:
        if trial.state == "complete":
            assert trial.values["eval_loss"] == whole.trials[trial.number].values["eval_loss"]

    epochs = trained(study)
    unsaid = set(with_breaks) - set(epochs)  # killed between the report and the line that says so
    assert len(unsaid) <= kills, unsaid
    again = epochs.total() - len(epochs)
    assert again <= kills, f"{again} epochs were trained again after {kills} kills: {epochs}"
    # How many wait and are promoted later, rather than going on at once, depends on who arrives first.
    assert any(trial.attempts > 1 for trial in pruned.trials), "nothing was resumed"

    best, target = pruned.best.values["eval_loss"], whole.best.values["eval_loss"]
    assert best <= 1.05 * target, f"{best} is worse than {target}"
    assert verify(study, make_proposals).good
    spent = epochs.total() + len(unsaid) + kills  # no kill has cost more than an epoch that it cut short
    fraction = spent / (trials * EPOCHS)
    assert fraction < 0.6
    return (
        f"{kills} kills: eval_loss {best:.4f}, without pruner {target:.4f}; "
        f"{spent} epochs of {trials * EPOCHS} ({again} of them again): {fraction:.2f}"
    )
