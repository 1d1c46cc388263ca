"""Secrets by their names and shapes, and ordinary values that are none.

No secret stands here: each is put together when the test runs, so that nothing that looks for secrets finds one.
"""

from __future__ import annotations

import base64
import json
import random
import string
from pathlib import Path

import pytest

pytest.importorskip("detect_secrets", reason="the extra ray is not installed")

from raytrain.cluster.jobs import secrets


def made(length: int, letters: str = string.ascii_letters + string.digits, seed: int = 0) -> str:
    """A random string of that length, with a digit and letters of both cases where `letters` has them."""
    draw = random.Random(seed)
    text = "".join(draw.choice(letters) for _ in range(length - 3))
    return text + "".join(next(sign for sign in kind if sign in letters) if set(kind) & set(letters) else letters[0]
                          for kind in (string.digits, "abcdef", string.ascii_uppercase))  # fmt: skip


HEX = "0123456789abcdef"
UPPER = string.ascii_uppercase + string.digits
JWT = (
    ".".join(
        base64.urlsafe_b64encode(json.dumps(part).encode()).decode().rstrip("=")
        for part in ({"alg": "HS256", "typ": "JWT"}, {"sub": "1234567890", "name": "x"})
    )
    + "."
    + made(43)
)
VALUES = {
    "AWS key id": "AKIA" + made(16, UPPER),
    "AWS temporary key id": "ASIA" + made(16, UPPER),
    "AWS secret under any name": made(40, string.ascii_letters + string.digits + "/+"),
    "GitHub": "ghp_" + made(36),
    "GitHub app": "ghs_" + made(36),
    "GitHub fine-grained": "github_pat_" + made(22) + "_" + made(59),
    "GitLab": "glpat-" + made(20),
    "Hugging Face": "hf_" + made(34, string.ascii_letters),
    "Slack bot": "xoxb-" + made(12, string.digits) + "-" + made(12, string.digits) + "-" + made(24),
    "Slack app": "xapp-1-" + made(11, UPPER) + "-" + made(40),
    "Slack webhook": "https://hooks.slack.com/services/"
    + "T"
    + made(8, UPPER)
    + "/B"
    + made(8, UPPER)
    + "/"
    + made(24),
    "Google API": "AIza" + made(35),
    "Google OAuth": "ya29." + made(60),
    "Google client": "GOCSPX-" + made(28),
    "OpenAI": "sk-" + made(48),
    "OpenAI project": "sk-proj-" + made(48),
    "Anthropic": "sk-ant-api03-" + made(60),
    "Groq": "gsk_" + made(52),
    "NVIDIA": "nvapi-" + made(64),
    "Replicate": "r8_" + made(37),
    "npm": "npm_" + made(36),
    "PyPI": "pypi-" + "AgEIcHlwaS5vcmc" + made(70),
    "Docker": "dckr_pat_" + made(27),
    "DigitalOcean": "dop_v1_" + made(64, HEX),
    "Vault": "hvs." + made(90),
    "Stripe": "sk_live_" + made(24),
    "SendGrid": "SG." + made(22) + "." + made(43),
    "Twilio": "SK" + made(32, HEX),
    "Mailchimp": made(32, HEX) + "-us12",
    "Atlassian": "ATATT3" + made(60),
    "Discord": "https://discord.com/api/webhooks/" + made(18, string.digits) + "/" + made(68),
    "Telegram": made(10, string.digits) + ":AA" + made(33),
    "JWT": JWT,
    "bearer": "Authorization: Bearer " + made(40),
    "bearer in lower case": "authorization: bearer " + made(24),
    "basic": "Authorization: Basic " + base64.b64encode(b"user:" + made(12).encode()).decode(),
    "GitHub header": "Authorization: token " + made(40, HEX),
    "database": "postgresql://user:" + made(12) + "@db.example.org:5432/mlflow",
    "redis without a user": "redis://:" + made(12) + "@cache:6379/0",
    "mlflow": "http://admin:" + made(10) + "@mlflow.example.org",
    "git with a token": "https://" + made(40) + "@github.com/me/repo.git",
    "sentry": "https://" + made(32, HEX) + "@o1.ingest.sentry.io/1",
    "signed S3": "https://b.s3.amazonaws.com/k?X-Amz-Expires=3600&X-Amz-Signature=" + made(64, HEX),
    "signed blob": "https://x.blob.core.windows.net/c?sv=2024&sig=" + made(43) + "%3D",
    "access token": "https://api.example.org/v1?access_token=" + made(30),
    "Azure": "DefaultEndpointsProtocol=https;AccountName=x;AccountKey="
    + made(86)
    + "==;EndpointSuffix=core.windows.net",
    "private key": "-----BEGIN OPENSSH PRIVATE" + " KEY-----\n" + made(60),
    "PGP": "-----BEGIN PGP PRIVATE" + " KEY BLOCK-----",
    "age": "AGE-SECRET" + "-KEY-1" + made(58, UPPER),
    "PuTTY": "PuTTY-User-Key" + "-File-3: ssh-ed25519",
}


@pytest.mark.parametrize("kind", VALUES)
def test_a_secret_is_found_by_its_shape_under_any_name_in_the_command_and_in_a_file(kind: str, tmp_path: Path) -> None:
    value = VALUES[kind]
    for findings in (secrets.in_values("env", {"X": value}), secrets.in_words(["x=" + value]),
                     secrets.in_words(["run", value])):  # fmt: skip
        assert len(findings) == 1
        assert not any(part in findings[0] for part in value.replace("Authorization", "").split() if len(part) > 9)
    if kind not in ("AWS secret under any name",):  # in a file any long word may be chance
        for name, data in (("a.py", f"x = 1\ny = '{value}'\n".encode()), ("b.txt", value.encode("utf-16"))):
            (tmp_path / name).write_bytes(data)
            assert secrets.in_files(tmp_path, [name]), name


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("HF_TOKEN", "x"), ("WANDB_API_KEY", made(40, HEX)), ("wandb_api_key", "x"), ("AWS_SECRET_ACCESS_KEY", "x"),
        ("MLFLOW_TRACKING_PASSWORD", "x"), ("PGPASSWORD", "x"), ("MYSQL_PWD", "x"), ("DB_PASS", "x"), ("apikey", "x"),
        ("db.password", "x"), ("clientSecret", "x"), ("accessToken", "x"), ("COMET_API_KEY", made(25)),
        ("NEPTUNE_API_TOKEN", "x"), ("AZURE_CLIENT_SECRET", "x"), ("REGISTRY_AUTH", "x"), ("SSH_PASSPHRASE", "x"),
        ("OPENAI_KEY", made(40)), ("STRIPE_KEY", made(24)), ("GH_PAT", made(40)), ("SESSION_COOKIE", made(30)),
        ("AZURE_STORAGE_CONNECTION_STRING", "x"), ("ENCRYPTION_KEY", "x"), ("service-account-key", "x"),
        ("DOCKER_AUTH_CONFIG", "x"), ("HTTP_AUTHORIZATION", "x"), ("JWT", "x"),
    ],
)  # fmt: skip
def test_a_secret_is_found_by_its_name_in_the_environment_and_in_the_command(name: str, value: str) -> None:
    finding = f"{name}: its name is that of a secret"
    assert secrets.in_values("env", {name: value}) == [f"env.{finding}"]
    assert secrets.in_words([f"{name}={value}"]) == [f"entry point, {finding}"]
    assert secrets.in_words([f"--{name}={value}"]) == [f"entry point, --{finding}"]
    assert secrets.in_words([f"--{name}", value]) == [f"entry point, --{finding}"]


HARMLESS = {
    "TOKENIZERS_PARALLELISM": "false",
    "HF_TOKEN_PATH": "/run/secrets/hf",
    "RAY_AUTH_MODE": "token",
    "RAY_AUTH_TOKEN_PATH": "/home/me/.ray/auth_token",
    "MLFLOW_TRACKING_URI": "http://mlflow.internal:5000",
    "MLFLOW_STORE": "sqlite:////mnt/shared/runs/mlflow.db",
    "DATABASE_URL": "postgresql://host:5432/db",
    "RAYTRAIN_COMMIT": made(40, HEX),
    "FINGERPRINT": made(64, HEX),
    "RUN_UID": made(32, HEX),
    "UUID": "123e4567-e89b-12d3-a456-426614174000",
    "IMAGE": "registry.example.org/team/raytrain@sha256:" + made(64, HEX),
    "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
    "LD_LIBRARY_PATH": "/usr/local/cuda-12.6/lib64",
    "HF_HOME": "/mnt/shared/huggingface/hub/models--openai--clip-vit-base-patch32/snapshots",
    "NCCL_DEBUG": "INFO",
    "HF_HUB_DISABLE_IMPLICIT_TOKEN": "1",
    "MODEL": "sentence-transformers/all-MiniLM-L6-v2",
    "BACKBONE": "laion/CLIP-ViT-bigG-14-laion2B-39B-b160k",
    "CUBLAS_WORKSPACE_CONFIG": ":4096:8",
    "LS_COLORS": "rs=0:di=01;34",
    "XDG_SESSION_ID": "3",
    "DBUS_SESSION_BUS_ADDRESS": "unix:path=/run/user/1000/bus",
    "SSH_AUTH_SOCK": "/tmp/ssh-x/agent.12",
    "PYTHONHASHSEED": "0",
    "CUDA_VISIBLE_DEVICES": "GPU-8932f937-d72c-4106-c12f-20bd9faed9f6",
    "DATE": "2026-11-27T23:35:03Z",
    "max_tokens": "77",
    "pad_token": "[PAD]",
    "sort_key": "name",
    "monkey": "a",
    "author": "me",
    "data.max_words": "32",
    "num_passes": "3",
    "KEYBOARD": "de",
    "S3": "s3://bucket/photos/2026/11/27",
    "GIT": "git@github.com:me/repo.git",
    "name": "dvse-flickr30k-s0-1127-233503",
    "PIP_INDEX_URL": "https://pypi.example.org/simple",
    "search": "https://example.org/?q=token&page=2",
    "REFERENCE": "postgres://user:${PASSWORD}@db/x",
}


@pytest.mark.parametrize("name", HARMLESS)
def test_an_ordinary_value_is_no_secret(name: str) -> None:
    value = HARMLESS[name]
    assert secrets.in_values("env", {name: value}) == []
    assert secrets.in_words([f"{name}={value}", f"--{name}", value]) == []
    assert secrets.in_text(f"{name} = {value}") is None


FILES = {
    ".env": "X=1",
    "prod.env": "X=1",
    ".netrc": "",
    "sub/_netrc": "",
    ".pypirc": "",
    ".git-credentials": "",
    ".pgpass": "",
    ".my.cnf": "",
    "id_rsa": "",
    "id_ed25519_work": "",
    "server.pem": "",
    "server.key": "",
    "store.p12": "",
    "store.jks": "",
    "credentials.json": "",
    "client_secret_12.json": "",
    "secrets.yaml": "",
    ".aws/config": "",
    ".ssh/config": "",
    ".kube/config": "",
    "kubeconfig": "",
    ".docker/config.json": "",
    "terraform.tfstate": "",
    "rclone.conf": "",
    ".boto": "",
    ".npmrc": "//packages.example.com/:_authToken=" + made(36),
    "npmrc": "_password = " + base64.b64encode(made(12).encode()).decode(),
    "netrc.txt": "machine api.wandb.ai\n  login user\n  password " + made(40, HEX),
    "kube.yaml": "users:\n- name: x\n  user:\n    client-key-data: " + made(60),
    "kube-token.yaml": "    token: " + made(40),
    "docker.json": json.dumps({"auths": {"r": {"auth": base64.b64encode(b"u:" + made(9).encode()).decode()}}}),
    "service.json": json.dumps({"type": "service_account", "private_key": "-----BEGIN PRIVATE" + " KEY-----\nMII"}),
    "settings": "[default]\napi_key = " + made(40, HEX),
    "app.yaml": "database:\n  password: " + made(10),
    "app.ini": "[db]\npassword = " + made(10),
    "app.toml": "[db]\npassword = '" + made(10) + "'",
    "app.json": json.dumps({"db": {"clientSecret": made(20)}}, indent=1),
    "app.properties": "spring.datasource.password=" + made(12),
    "x.tfvars": 'db_password = "' + made(12) + '"',
    "run.sh": "#!/bin/sh\nexport WANDB_API_KEY=" + made(40, HEX),
    "train.py": "import wandb\nwandb_api_key = '" + made(40, HEX) + "'",
    "call.py": "login(api_key='" + made(40, HEX) + "')",
    "notes.md": "the key is AKIA" + made(16, UPPER),
    "book.ipynb": json.dumps({"cells": [{"source": ["os.environ['HF_TOKEN'] = 'hf_" + made(34) + "'"]}]}),
    "long.txt": "x" * 500_000 + " ghp_" + made(36),
}


@pytest.mark.parametrize("name", FILES)
def test_a_file_that_holds_a_secret_is_found(name: str, tmp_path: Path) -> None:
    (tmp_path / name).parent.mkdir(exist_ok=True)
    (tmp_path / name).write_text(FILES[name])
    (finding,) = secrets.in_files(tmp_path, [name])
    assert finding.startswith(f"{name}: ")


PLAIN = {
    ".env.example": "HF_TOKEN=your-token-here", "id_rsa.pub": "ssh-rsa AAAAB3NzaC1yc2EAAAADAQABAAABgQ",
    "run.yaml": "method:\n  kind: dvse\n  token: caption\nencoder:\n  text: {kind: tokens}\n",
    "code.py": 'def f(token: str, password: str = "") -> None:\n    key = token or os.environ["HF_TOKEN"]\n',
    "deploy.yaml": "password: ${DB_PASSWORD}\ntoken: <token>\nsecretName: raytrain-token\n",
    "job.sh": 'export HF_TOKEN="$(cat /run/secrets/hf)"\nexport API_KEY=$KEY\n',
    "table.json": json.dumps({"fingerprint": made(64, HEX), "files": {"items.arrow": made(64, HEX)}}, indent=1),
    "lock.txt": "numpy==2.4.6 --hash=sha256:" + made(64, HEX),
    "vocab.json": json.dumps({"token": 12, "password": 7, "secret": 3}, indent=1),
    "tokenizer_config.json": json.dumps({"pad_token": "[PAD]", "cls_token": "[CLS]", "unk_token": "<unk>"}, indent=1),
    "notes.md": "the token: see docs; a password is asked for at login",
}  # fmt: skip


@pytest.mark.parametrize("name", PLAIN)
def test_an_ordinary_file_is_no_secret(name: str, tmp_path: Path) -> None:
    (tmp_path / name).write_text(PLAIN[name])
    assert secrets.in_files(tmp_path, [name]) == []


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
