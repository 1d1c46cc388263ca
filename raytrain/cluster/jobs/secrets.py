"""Secrets recognised by their names and shapes: dashboards and logs show what a job carries, so none may be in it."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

SECRET_NAME = re.compile(
    r"(^|[_.-])(token|secrets?|password|passwd|passphrase|credentials?|apikey"
    r"|(api|access|private|secret|ssh|signing|encryption|account)[_-]?key)($|[_.-])",
    re.IGNORECASE,
)
PLAIN_NAME = re.compile(r"[_.-](path|file|dir|mode|name|type|uri|url|parallelism)$", re.IGNORECASE)
"""Endings of names that say where a secret lies or how it is used, and hold no secret themselves."""
SHAPES = {
    "a private key": r"-----BEGIN [A-Z ]*PRIVATE KEY-----",
    "an AWS access key": r"\b(AKIA|ASIA)[0-9A-Z]{16}\b",
    "a GitHub token": r"\b(gh[pousr]_[A-Za-z0-9]{36}|github_pat_\w{40})",
    "a GitLab token": r"\bglpat-[\w-]{20}",
    "a Hugging Face token": r"\bhf_[A-Za-z0-9]{30}",
    "a Slack token": r"\bxox[abprs]-[\w-]{10}",
    "a Google API key": r"\bAIza[\w-]{35}",
    "an API key": r"\bsk-[A-Za-z0-9_-]{32}",
    "a signed web token": r"\beyJ[\w-]{10,}\.eyJ[\w-]{10,}\.[\w-]{10,}",
    "a password in an address": r"\b[a-z][a-z0-9+.-]*://[^/\s:@]+:[^/\s:@]+@",
}
_SHAPES = {what: re.compile(shape) for what, shape in SHAPES.items()}
SECRET_FILES = re.compile(
    r"(^|/)(\.env(\..+)?|\.netrc|\.pypirc|id_(rsa|dsa|ecdsa|ed25519)|credentials(\.json|\.csv)?|kubeconfig"
    r"|(ray_)?auth_token|[^/]+\.(pem|p12|pfx|key))$"
)
READ_BYTES = 256 * 1024  # a larger file is data, and no note with a key in it


def in_text(text: str, own: Iterable[str] = ()) -> str | None:
    """The kind of secret that a text holds, in words that do not repeat it; None where it holds none.

    Args:
        own: secrets to look for by their value: the cluster's token.
    """
    if any(secret and secret in text for secret in own):
        return "this cluster's token"
    return next((what for what, shape in _SHAPES.items() if shape.search(text)), None)


def in_values(place: str, value: Any, own: Iterable[str] = ()) -> list[str]:
    """Findings in nested values, "place: what", by names and by shapes."""
    if isinstance(value, Mapping):
        findings = []
        for name, part in value.items():
            where = f"{place}.{name}"
            if isinstance(part, str) and part and is_secret_name(str(name)):
                findings.append(f"{where}: its name is that of a secret")
            else:
                findings += in_values(where, part, own)
        return findings
    if isinstance(value, (list, tuple)):
        return [finding for i, part in enumerate(value) for finding in in_values(f"{place}[{i}]", part, own)]
    what = in_text(value, own) if isinstance(value, str) else None
    return [f"{place}: it holds {what}"] if what else []


def in_words(words: Iterable[str], own: Iterable[str] = ()) -> list[str]:
    """Findings in a command: NAME=VALUE and --name VALUE where the name is a secret's, and shapes anywhere."""
    findings, own = [], list(own)
    words = list(words)
    for before, word in zip(["", *words], words, strict=False):
        name, equals, value = word.partition("=")
        flag = before.lstrip("-") if before.startswith("--") and "=" not in before else ""
        if equals and value and is_secret_name(name.lstrip("-")):
            findings.append(f"entry point, {name}: its name is that of a secret")
        elif flag and is_secret_name(flag) and not word.startswith("-"):
            findings.append(f"entry point, --{flag}: its name is that of a secret")
        elif what := in_text(word, own):
            findings.append(f"entry point, word {words.index(word) + 1}: it holds {what}")
    return findings


def in_files(root: Path, names: Iterable[str], own: Iterable[str] = ()) -> list[str]:
    """Findings in files below `root`: by their names, and by the contents of those up to READ_BYTES."""
    findings, own = [], list(own)
    for name in names:
        if SECRET_FILES.search(name):
            findings.append(f"{name}: a file of this name holds a secret")
            continue
        path = root / name
        if path.stat().st_size <= READ_BYTES:
            what = in_text(path.read_bytes().decode("utf-8", errors="replace"), own)
            findings += [f"{name}: it holds {what}"] if what else []
    return findings


def is_secret_name(name: str) -> bool:
    """Whether a variable, field or option of this name would hold a secret."""
    return bool(SECRET_NAME.search(name)) and not PLAIN_NAME.search(name)
