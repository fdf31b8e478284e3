"""Frozen code: the copy is the project as it stood, and nothing else."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from taut import frozen
from taut.errors import InputError
from taut.frozen import changed, freeze

pytestmark = pytest.mark.skipif(shutil.which("git") is None, reason="git is not installed")

AT = ("on", "slurm", "snapshot")


def git(where: Path, *words: str) -> None:
    always = ("-c", "user.name=t", "-c", "user.email=t@example.org", "-c", "protocol.file.allow=always")
    subprocess.run(["git", *always, *words], cwd=where, check=True, capture_output=True)


def put(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


def contents(folder: Path) -> dict[str, str]:
    return {
        str(path.relative_to(folder)): path.read_text()
        for path in folder.rglob("*")
        if path.is_file() and ".git" not in path.relative_to(folder).parts
    }


@pytest.fixture
def project(tmp_path: Path) -> Path:
    base = tmp_path / "project"
    put(base / "train.py", "old")
    put(base / "src" / "my model.py", "model")
    put(base / "gone.py", "gone")
    put(base / ".gitignore", "*.pt\n")
    git(base, "init", "-q")
    git(base, "add", ".")
    git(base, "commit", "-q", "-m", "first")
    return base


def test_tracked_files_as_they_stand_and_new_ones(project: Path) -> None:
    put(project / "train.py", "edited, not committed")
    put(project / "new.py", "forgotten to add")
    put(project / "weights.pt", "ignored")
    put(project / "ä\n\"b'.py", "odd name")
    (project / "gone.py").unlink()
    put(project / "runs" / "lora" / "log" / "0.jsonl", "a study")
    target = project / "runs" / "lora" / "code"
    assert freeze(project, target, [project / "runs"]) == 5
    assert contents(target) == {
        ".gitignore": "*.pt\n",
        "train.py": "edited, not committed",
        "src/my model.py": "model",
        "new.py": "forgotten to add",
        "ä\n\"b'.py": "odd name",
    }
    assert [path.name for path in target.parent.iterdir() if path.name != "log"] == ["code"]


def test_the_copy_itself_is_left_out(project: Path) -> None:
    assert freeze(project, project / "code") == 4
    assert changed(project, project / "code") == []
    assert freeze(project, project / "code-2", [project / "code"]) == 4


def test_only_what_lies_below_the_base(project: Path, tmp_path: Path) -> None:
    assert freeze(project / "src", tmp_path / "code") == 1
    assert contents(tmp_path / "code") == {"my model.py": "model"}


def test_a_directory_whose_name_begins_alike_is_copied(project: Path, tmp_path: Path) -> None:
    put(project / "runs" / "x", "study")
    put(project / "runs2" / "x.py", "code")
    freeze(project, tmp_path / "code", [project / "runs"])
    assert "runs2/x.py" in contents(tmp_path / "code")
    assert "runs/x" not in contents(tmp_path / "code")


def test_modes_and_links(project: Path, tmp_path: Path) -> None:
    put(project / "run.sh", "x").chmod(0o755)
    (project / "link.py").symlink_to("train.py")
    (project / "folder").symlink_to("src")
    (project / "broken").symlink_to("nowhere")
    git(project, "add", ".")
    target = tmp_path / "code"
    freeze(project, target)
    assert os.access(target / "run.sh", os.X_OK)
    assert not (target / "train.py").stat().st_mode & 0o111
    links = {name: os.readlink(target / name) for name in ("link.py", "folder", "broken")}
    assert links == {"link.py": "train.py", "folder": "src", "broken": "nowhere"}
    assert changed(project, target) == []


def test_submodules_and_other_repositories(project: Path, tmp_path: Path) -> None:
    other = tmp_path / "other"
    put(other / "library.py", "library")
    git(other, "init", "-q")
    git(other, "add", ".")
    git(other, "commit", "-q", "-m", "first")
    git(project, "submodule", "add", "-q", str(other), "libs/sub")
    put(project / "libs" / "sub" / "new.py", "new")
    git(project, "clone", "-q", str(other), "nested")
    (project / "empty" / "deep").mkdir(parents=True)
    freeze(project, tmp_path / "code")
    found = contents(tmp_path / "code")
    assert {name for name in found if "library" in name} == {"libs/sub/library.py", "nested/library.py"}
    assert "libs/sub/new.py" in found
    assert not list((tmp_path / "code").rglob(".git"))


def test_what_is_frozen_stays(project: Path, tmp_path: Path) -> None:
    target = tmp_path / "deep" / "code"
    assert freeze(project, target) == 4
    put(project / "train.py", "new")
    assert freeze(project, target) == 0
    assert (target / "train.py").read_text() == "old"


def test_a_copy_that_fails_leaves_nothing(
    project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    copies = []

    def full(source: Path, copy: Path, **how: bool) -> None:
        copies.append(copy)
        if len(copies) == 3:
            raise OSError(28, "No space left on device")
        put(copy, "x")

    monkeypatch.setattr(shutil, "copy2", full)
    with pytest.raises(OSError, match="No space left"):
        freeze(project, tmp_path / "out" / "code")
    assert list((tmp_path / "out").iterdir()) == []
    assert len(copies) == 3


def test_of_two_at_once_the_first_wins(
    project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    copy2 = shutil.copy2

    def slow(source: Path, copy: Path, *, follow_symlinks: bool) -> None:
        if not (tmp_path / "code").exists():  # the other one is ready just now
            put(tmp_path / "code" / "theirs.py", "theirs")
        copy2(source, copy, follow_symlinks=follow_symlinks)

    monkeypatch.setattr(shutil, "copy2", slow)
    assert freeze(project, tmp_path / "code") == 0
    assert contents(tmp_path / "code") == {"theirs.py": "theirs"}
    assert sorted(path.name for path in tmp_path.iterdir()) == ["code", "project"]


def test_changed(project: Path, tmp_path: Path) -> None:
    put(project / "runs" / "lora" / "log", "a study")
    put(project / "run.sh", "x")
    (project / "link").symlink_to("train.py")
    target = tmp_path / "code"
    freeze(project, target, [project / "runs"])
    assert changed(project, target, [project / "runs"]) == []
    times = (project / "train.py").stat()
    put(project / "train.py", "OLD")  # of the same length and time
    os.utime(project / "train.py", ns=(times.st_atime_ns, times.st_mtime_ns))
    put(project / "new.py", "new")
    (project / "gone.py").unlink()
    (project / "run.sh").chmod(0o755)
    (project / "link").unlink()
    (project / "link").symlink_to("new.py")
    edited = ["gone.py", "link", "new.py", "run.sh", "train.py"]
    assert changed(project, target, [project / "runs"]) == edited


def test_another_repository_of_the_environment_is_not_meant(
    project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GIT_DIR", str(tmp_path / "elsewhere"))
    assert freeze(project, tmp_path / "code") == 4


def refused(base: Path, target: Path) -> str:
    with pytest.raises(InputError) as caught:
        freeze(base, target)
    assert caught.value.at == AT
    assert not target.exists()
    return caught.value.message


def test_without_git(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "plain").mkdir()
    message = refused(tmp_path / "plain", tmp_path / "code")
    assert message.startswith(f"{tmp_path}/plain is no git work tree (fatal: not a git repository")
    assert message.endswith("run git init there, or set snapshot = false")
    monkeypatch.setenv("PATH", str(tmp_path))
    assert "there is no git in PATH" in refused(tmp_path / "plain", tmp_path / "code")


def test_a_directory_that_git_ignores(project: Path, tmp_path: Path) -> None:
    put(project / ".gitignore", "scratch/\n")
    put(project / "scratch" / "train.py", "x")
    assert refused(project / "scratch", tmp_path / "code").startswith(
        f"git knows no file in {project}/scratch"
    )


def test_too_large(project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with (project / "data.bin").open("wb") as file:
        file.truncate(frozen.MOST_BYTES + 10**6)
    assert refused(project, tmp_path / "code") == (
        "data.bin (101.0 MB) is too large for a frozen copy; files up to 100 MB are allowed; "
        "name it in .gitignore if it is no code, or set snapshot = false"
    )
    (project / "data.bin").unlink()
    monkeypatch.setattr(frozen, "MOST_FILES", 3)
    assert refused(project, tmp_path / "code") == (
        f"{project} has 4 files, the largest is src/my model.py (0.0 MB); at most 3 are allowed in a frozen copy; "
        "name those in .gitignore that are no code, or set snapshot = false"
    )
