"""Where a study lies: from its study.toml to its directory."""

from __future__ import annotations

from pathlib import Path

__all__ = ["is_frozen", "place"]


def place(file: Path, name: str) -> Path:
    """Where the study of a TOML file is kept by default."""
    return file.parent / "runs" / name


def is_frozen(path: Path) -> bool:
    """Whether `path` is the copy of a study.toml that stands in the study's own directory."""
    return path.is_file() and (path.parent / "definition").is_dir()
