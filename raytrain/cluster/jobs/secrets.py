"""Secrets recognised by their names and shapes: dashboards and logs show what a job carries, so none may be in it.

Most shapes are those of detect-secrets. A random string that has neither the name nor the shape of a secret passes:
hashes and fingerprints look the same.
"""

from __future__ import annotations

import codecs
import functools
import math
import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from raytrain.errors import UsageError, pip_install

_WORD = r"(^|[_.\-\s]){}($|[_.\-\s])"
SECRET_NAME = re.compile(
    _WORD.format(
        r"(token|secrets?|password|passwd|passphrase|pass|pwd|credentials?|apikey|authtoken|authorization|auth|bearer|jwt"
        r"|(api|access|private|secret|ssh|signing|encryption|account|service|master|license)[_-]?key"
        r"|connection[_-]?string)"
    )
    + r"|(passwor?d|apikey|secretkey|accesskey|authtoken)$",
    re.IGNORECASE,
)
KEY_NAME = re.compile(_WORD.format("(key|pat|sas|dsn|session|cookie|webhook|sid)"), re.IGNORECASE)
"""Names that many harmless values have too: their value has to look like a key."""
PLAIN_NAME = re.compile(
    r"[_.-](path|file|dir|mode|name|type|uri|url|parallelism|timeout|ttl|id|sock|socket)$"
    r"|(^|[_.-])(disable|enable|use|no|num|max|min|pad|mask|special)[_.-]",
    re.IGNORECASE,
)
"""Parts of names that say where a secret lies or how it is used, and hold no secret themselves."""
SHAPES = {
    "a private key": r"-----BEGIN [A-Z0-9 ]*PRIVATE KEY( BLOCK)?-----|PuTTY-User-Key-File-\d"
    r"|\bAGE-SECRET-KEY-1[A-Z0-9]{20}",
    "an AWS access key": r"\b(AKIA|ASIA|AROA|AIDA)[0-9A-Z]{16}\b",
    "a GitHub token": r"\b(gh[pousr]_[A-Za-z0-9]{36}|github_pat_\w{40})",
    "a GitLab token": r"\bgl(pat|dt|rt|cbt|ptt|ft|soat)-[\w-]{20}",
    "a Hugging Face token": r"\b(hf|api_org)_[A-Za-z0-9]{30}",
    "a Slack token": r"\bx(ox[abeoprs]|app)-[\w-]{10}|hooks\.slack\.com/(services|workflows)/\w+/\w+",
    "a Google API key": r"\bAIza[\w-]{35}|\bya29\.[\w-]{20}|\bGOCSPX-[\w-]{20}",
    "an API key": r"\b(sk|pk|rk|gsk|nvapi|tskey|xai|pplx|r8|lin_api|shp(at|ca|pa|ss)|dckr_pat|dop_v1|hvs|pul|rnd|tfp"
    r"|sntrys|phc|npm|pypi|wandb_v\d)[-_.](?=[\w-]*\d)[A-Za-z0-9_-]{24}",
    "a SendGrid key": r"\bSG\.[\w-]{16,}\.[\w-]{16}",
    "an Atlassian token": r"\bATATT3[\w=-]{20}",
    "a Discord webhook": r"discord(app)?\.com/api/webhooks/\d+/[\w-]+",
    "a signed web token": r"\beyJ[\w-]{10,}\.eyJ[\w-]{10,}\.[\w-]{10}",
    "a password in an address": r"\b[a-z][a-z0-9+.-]*://[^/\s:@'\"]*:(?![$<{*%])[^/\s:@'\"]+@",
    "a key in an address": r"\bhttps?://[A-Za-z0-9_-]{20,}@"
    r"|[?&](access_token|api_?key|token|sig|signature|X-Amz-Signature|X-Goog-Signature)=(?![$<{])[\w%+/=.-]{16}",
    "an authorization header": r"\b(bearer|basic|token)\s+(?=[\w~+/.-]*\d)(?=[\w~+/.-]*[a-z])[\w~+/.-]{20}"
    r"|\bauthorization['\"]?\s*[:=]\s*['\"]?(bearer|basic|token)\s+[\w~+/.=-]{8}",
    "a password of .netrc": r"\bmachine\s+\S+\s+(login\s+\S+\s+)?(account\s+\S+\s+)?password\s+\S",
    "a password of .npmrc": r"(?m)^\s*(//\S+:)?_(authToken|auth|password)\s*=\s*(?![$<{\s])\S",
    "a login of a container registry": r"\"(auth|identitytoken)\"\s*:\s*\"[A-Za-z0-9+/=]{12}",
    "a key of a Kubernetes login": r"(?m)^\s*(client-key-data|token)\s*:\s*['\"]?[\w+/.=-]{20}",
    "a key of a store": r"\b(AccountKey|SharedAccessKey|SharedAccessSignature)=[\w+/%]{16}",
}
_SHAPES = {what: re.compile(shape, re.IGNORECASE if " header" in what else 0) for what, shape in SHAPES.items()}
_OTHERS_COVER = ("HighEntropyString", "KeywordDetector", "IPPublicDetector", "BasicAuthDetector")
"""Detectors of detect-secrets that take hashes, variables and addresses for secrets, or that SHAPES does better."""
SECRET_FILES = re.compile(
    r"(^|/)(\.env(\..+)?|[^/]+\.env|\.?_?netrc|\.pypirc|\.git-credentials|\.pgpass|\.my\.cnf|\.htpasswd|\.dockercfg|\.boto"
    r"|\.s3cfg|\.vault-token|id_(rsa|dsa|ecdsa|ed25519)(_[^/.]+)?|(application_default_)?credentials(\.json|\.csv|\.db)?"
    r"|client_secrets?[^/]*\.json|secrets?\.(ya?ml|json|toml|ini|env)|kubeconfig|(ray_)?auth_token|rclone\.conf"
    r"|[^/]+\.(pem|p12|pfx|key|ppk|jks|keystore|kdbx|kubeconfig|tfstate|asc|gpg))$"
    r"|(^|/)\.(aws|ssh|kube|docker|gnupg|azure)/",
    re.IGNORECASE,
)
PLAIN_FILES = re.compile(r"(^|/)(\.env\.(example|sample|template|dist)|[^/]+\.pub)$", re.IGNORECASE)
CONFIG_FILES = re.compile(
    r"(^|/)(\.[^/.]+|[^/]+\.(ini|cfg|conf|config|toml|ya?ml|json|properties|tfvars|env|sh|rc)|[^/.]+|settings)$",
    re.IGNORECASE,
)
"""Where `name = value` needs no quotes to be a setting."""
_SETTING = re.compile(
    r"""(?m)^[ \t]*(?:export[ \t]+|set[ \t]+)?["']?([A-Za-z][\w.-]*)["']?[ \t]*[:=]+[ \t]*(\S[^\r\n]*)"""
)
_QUOTED = re.compile(r"""["']?\b([A-Za-z][\w.-]*)["']?[ \t]*(?:=|:)[ \t]*(["'])([^"'\s]{8,})\2""")
READ_BYTES = 2 * 1024 * 1024  # a larger file is data, and no note with a key in it
RANDOM_LENGTH, RANDOM_BITS = 32, 4.4
"""A value of that many characters with that entropy per character, in letters of both cases and digits, is a key."""


@functools.cache
def _detectors() -> tuple[tuple[str, Callable[[str], Iterable[str]]], ...]:
    """(kind of secret in words, the function that finds it in a text) of detect-secrets."""
    try:
        from detect_secrets.core.plugins.util import get_mapping_from_secret_type_to_class
    except ImportError:
        raise UsageError(f"submit looks for secrets with detect-secrets: {pip_install('ray')}") from None
    kinds: Mapping[str, Any] = get_mapping_from_secret_type_to_class()
    return tuple(
        (f"a secret of the kind {kind}", detector().analyze_string)
        for kind, detector in kinds.items()
        if not detector.__name__.endswith(_OTHERS_COVER)
    )


def in_text(text: str, own: Iterable[str] = ()) -> str | None:
    """The kind of secret that a text holds, in words that do not repeat it; None where it holds none.

    Args:
        own: secrets to look for by their value: the cluster's token.
    """
    if any(secret and secret in text for secret in own):
        return "this cluster's token"
    shapes = (what for what, shape in _SHAPES.items() if shape.search(text))
    return next(shapes, None) or next((what for what, find in _detectors() if any(find(text))), None)


def in_values(place: str, value: Any, own: Iterable[str] = ()) -> list[str]:
    """Findings in nested values, "place: what", by names, by shapes and by chance."""
    if isinstance(value, Mapping):
        findings = []
        for name, part in value.items():
            where = f"{place}.{name}"
            if isinstance(part, str) and is_secret(str(name), part):
                findings.append(f"{where}: its name is that of a secret")
            else:
                findings += in_values(where, part, own)
        return findings
    if isinstance(value, (list, tuple)):
        return [finding for i, part in enumerate(value) for finding in in_values(f"{place}[{i}]", part, own)]
    what = _in_value(value, own) if isinstance(value, str) else None
    return [f"{place}: it holds {what}"] if what else []


def in_words(words: Iterable[str], own: Iterable[str] = ()) -> list[str]:
    """Findings in a command: NAME=VALUE and --name VALUE where the name is a secret's, and shapes anywhere."""
    findings, own = [], list(own)
    words = list(words)
    for number, (before, word) in enumerate(zip(["", *words], words, strict=False), start=1):
        name, equals, value = word.partition("=")
        flag = before.lstrip("-") if before.startswith("--") and "=" not in before else ""
        if equals and is_secret(name.lstrip("-"), value):
            findings.append(f"entry point, {name}: its name is that of a secret")
        elif flag and not word.startswith("-") and is_secret(flag, word):
            findings.append(f"entry point, --{flag}: its name is that of a secret")
        elif what := _in_value(word, own) or (equals and _in_value(value, own)):
            findings.append(f"entry point, word {number}: it holds {what}")
    return findings


def in_files(root: Path, names: Iterable[str], own: Iterable[str] = ()) -> list[str]:
    """Findings in files below `root`: by their names, and by the contents of those up to READ_BYTES."""
    findings, own = [], list(own)
    for name in names:
        if SECRET_FILES.search(name) and not PLAIN_FILES.search(name):
            findings.append(f"{name}: a file of this name holds a secret")
            continue
        path = root / name
        if path.stat().st_size <= READ_BYTES:
            text = _decoded(path.read_bytes())
            if what := in_text(text, own):
                findings.append(f"{name}: it holds {what}")
            elif setting := next(_settings(name, text), None):
                findings.append(f"{name}: its setting {setting} has the name of a secret")
    return findings


def is_secret_name(name: str) -> bool:
    """Whether a variable, field or option of this name would hold a secret."""
    return bool(SECRET_NAME.search(_snake(name))) and not PLAIN_NAME.search(name)


def is_secret(name: str, value: str) -> bool:
    """Whether a variable, field or option of this name holds a secret with this value."""
    if not value or PLAIN_NAME.search(name):
        return False
    return is_secret_name(name) or (bool(KEY_NAME.search(_snake(name))) and _like_a_key(value))


def _snake(name: str) -> str:
    """ "clientSecret" -> "client_Secret"."""
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name)


def _like_a_key(value: str) -> bool:
    return len(value) >= 16 and bool(re.fullmatch(r"(?=.*\d)(?=.*[A-Za-z])[\w+/=.~-]+", value)) and "/" not in value[:2]


def _in_value(value: str, own: Iterable[str]) -> str | None:
    """As `in_text`, of one value, which is a secret too where it is a long random string."""
    return in_text(value, own) or ("a long random string" if _is_random(value) else None)


def _is_random(value: str) -> bool:
    if len(value) < RANDOM_LENGTH or not re.fullmatch(r"[A-Za-z0-9+/_-]+={0,2}", value):
        return False
    kinds = [len(re.findall(kind, value)) for kind in ("[A-Z]", "[a-z]", "[0-9]")]
    shares = [count / len(value) for count in Counter(value).values()]
    return min(kinds) >= 3 and -sum(share * math.log2(share) for share in shares) >= RANDOM_BITS


def _settings(file: str, text: str) -> Iterator[str]:
    """Names of settings in a file whose names are those of secrets and whose values are no references."""
    if CONFIG_FILES.search(file):
        pairs = [(name, value.split(" #")[0].strip(" \t\"',;")) for name, value in _SETTING.findall(text)]
    else:
        pairs = [(name, value) for name, _, value in _QUOTED.findall(text)]
    for name, value in pairs:
        if is_secret_name(name) and _is_literal(value):
            yield name


def _is_literal(value: str) -> bool:
    """Whether a value of a setting is text of its own: no variable, call, placeholder, number or switch."""
    if len(value) < 6 or not re.fullmatch(r"[!-~]+", value) or re.search(r"[$<>{}()\[\]]|^[*.x]+$|\.\.\.", value):
        return False
    return bool(re.search(r"\d|[^A-Za-z0-9_.-]", value)) and not re.search(
        r"(?i)example|change_?me|your|dummy|^[\d.e+-]+$", value
    )


def _decoded(data: bytes) -> str:
    """A file's bytes as text, whatever its encoding is."""
    for mark, encoding in ((codecs.BOM_UTF16_LE, "utf-16"), (codecs.BOM_UTF16_BE, "utf-16")):
        if data.startswith(mark):
            return data.decode(encoding, errors="replace")
    if data[1:40:2].count(0) > 15:
        return data.decode("utf-16-le", errors="replace")
    return data.decode("utf-8", errors="replace")
