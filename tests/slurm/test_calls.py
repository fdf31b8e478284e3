"""Calling commands: what they complain of, what they may have done all the same, what the environment must not change."""

from __future__ import annotations

import pytest

from taut.slurm.calls import NoAnswer, SlurmError, call, environment


def test_what_it_printed_and_what_it_was_told() -> None:
    assert call("cat", text="script") == "script"
    assert call("cat") == "", "nothing of ours is read by mistake"


def test_a_refusal_is_told_without_its_prefix() -> None:
    said = "echo 'sbatch: error: Invalid feature specification' >&2; exit 1"
    with pytest.raises(SlurmError, match=r"^sh: sbatch: error: Invalid feature specification$") as error:
        call("sh", "-c", said)
    assert not isinstance(error.value, NoAnswer)
    with pytest.raises(SlurmError, match=r"^sh ended with exit code 3$"):
        call("sh", "-c", "exit 3")


@pytest.mark.parametrize(
    "said",
    [
        "Batch job submission failed: Socket timed out on send/recv operation",
        "slurm_load_jobs error: Unable to contact slurm controller (connect failure)",
        "Zero Bytes were transmitted or received; Connection reset by peer",
    ],
)
def test_what_may_have_been_done_all_the_same(said: str) -> None:
    with pytest.raises(NoAnswer):
        call("sh", "-c", f"echo 'sbatch: error: {said}' >&2; exit 1")


def test_an_answer_that_does_not_come() -> None:
    with pytest.raises(NoAnswer, match="did not answer within"):
        call("sleep", "5", timeout=0.2)


def test_a_missing_program() -> None:
    with pytest.raises(SlurmError, match="there is no no-such-program in PATH"):
        call("no-such-program")


def test_filters_and_formats_of_the_user_are_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("SQUEUE_PARTITION", "SQUEUE_FORMAT", "SACCT_FORMAT", "SINFO_PARTITION", "SLURM_TIME_FORMAT"):
        monkeypatch.setenv(name, "x")
    monkeypatch.setenv("SLURM_CONF", "/etc/slurm/slurm.conf")
    kept = environment()
    assert not any(name.startswith(("SQUEUE_", "SACCT_", "SINFO_", "SLURM_TIME")) for name in kept)
    assert kept["SLURM_CONF"] == "/etc/slurm/slurm.conf" and kept["LC_ALL"] == "C"
