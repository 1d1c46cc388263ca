"""Where a run comes from, as its journal records it: commit, user, versions, device."""

from __future__ import annotations

import getpass
import os
import platform
import subprocess
from pathlib import Path

import numpy as np
import torch

import raytrain


def commit(root: Path | None = None) -> str | None:
    """12 digits of the commit of a source tree, with "+" where its files have changes; None where git cannot say.

    Outside a checkout, as in a submitted job, it is the value of RAYTRAIN_COMMIT, or None where that is not set.

    Args:
        root: default the tree that this package runs from.
    """
    root = root or Path(raytrain.__file__).resolve().parent.parent
    if not (root / ".git").exists():
        return os.environ.get("RAYTRAIN_COMMIT")
    try:
        head = _git(root, "rev-parse", "--short=12", "HEAD")
        return head + ("+" if _git(root, "status", "--porcelain", "--untracked-files=no") else "")
    except (OSError, subprocess.SubprocessError):
        return None


def user() -> str | None:
    """Name of the user that this process runs as; None where the system has no name for the number."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return None


def versions() -> dict[str, str]:
    """{"raytrain", "torch", "numpy", "python": version}"""
    return {
        "raytrain": raytrain.__version__,
        "torch": torch.__version__,
        "numpy": np.__version__,
        "python": platform.python_version(),
    }


def device_name(device: torch.device) -> str:
    """The name of a GPU, or the architecture of a CPU: "x86_64 CPU"."""
    return torch.cuda.get_device_name(device) if device.type == "cuda" else f"{platform.machine()} CPU"


def _git(root: Path, *arguments: str) -> str:
    done = subprocess.run(["git", "-C", str(root), *arguments], capture_output=True, text=True, timeout=10, check=True)
    return done.stdout.strip()
