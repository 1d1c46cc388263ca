"""Secrets by their names and shapes, and ordinary values that are none."""

from __future__ import annotations

from pathlib import Path

import pytest

from raytrain.cluster.jobs import secrets


@pytest.mark.parametrize(
    "name", ["TOKENIZERS_PARALLELISM", "HF_TOKEN_PATH", "RAY_AUTH_MODE", "data.max_words", "tokens", "keyboard", "lr"]
)
def test_ordinary_names_pass(name: str) -> None:
    assert not secrets.is_secret_name(name)


@pytest.mark.parametrize("name", ["HF_TOKEN", "wandb_api_key", "db.password", "AWS_SECRET_ACCESS_KEY", "apikey"])
def test_names_of_secrets_are_recognised(name: str) -> None:
    assert secrets.is_secret_name(name)


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("key AKIA" + "A1B2" * 4, "an AWS access key"),
        ("hf_" + "a" * 32, "a Hugging Face token"),
        ("ghp_" + "a1B2" * 9, "a GitHub token"),
        ("postgres://me:pass" + "@host/db", "a password in an address"),
        ("-----BEGIN EC PRIVATE" + " KEY-----", "a private key"),
        ("postgres://host/db", None),
        ("optim.lr=5e-4 hf_models/clip", None),
    ],
)
def test_texts_are_searched_for_shapes(text: str, what: str | None) -> None:
    assert secrets.in_text(text) == what
    assert secrets.in_text("x" + "s3cr3t" + "y", own=["", "s3cr3t"]) == "this cluster's token"


def test_findings_name_the_place_and_not_the_secret(tmp_path: Path) -> None:
    values = {"env_vars": {"HF_TOKEN": "x", "EMPTY_TOKEN": "", "A": "1"}, "pip": ["a", "hf_" + "a" * 32]}
    assert secrets.in_values("env", values) == [
        "env.env_vars.HF_TOKEN: its name is that of a secret", "env.pip[1]: it holds a Hugging Face token",
    ]  # fmt: skip
    command = ["API_KEY=1", "python", "job.py", "--password", "12", "--token", "--seed", "1"]
    assert secrets.in_words(command) == [
        "entry point, API_KEY: its name is that of a secret", "entry point, --password: its name is that of a secret",
    ]  # fmt: skip
    (tmp_path / "large.bin").write_text("hf_" + "a" * 32 + "0" * secrets.READ_BYTES)
    (tmp_path / "note.txt").write_text("hf_" + "a" * 32)
    (tmp_path / "id_rsa").write_text("")
    assert secrets.in_files(tmp_path, ["large.bin", "note.txt", "id_rsa"]) == [
        "note.txt: it holds a Hugging Face token", "id_rsa: a file of this name holds a secret",
    ]  # fmt: skip
