"""Who may ask: the token of a service that others can reach, and the names that it may be called by."""

from __future__ import annotations

import hmac
import ipaddress
import os
import secrets
import time
from dataclasses import dataclass
from pathlib import Path

from raytrain.errors import RefusedError, UsageError
from raytrain.files import make_secret, others_may_read, read_text

TOKEN_FILE = "~/.raytrain/serve_token"
MIN_TOKEN_CHARACTERS = 20
SESSION_S = 12 * 3600.0
_HTTP_PORTS = {"http": "80", "https": "443"}


@dataclass(frozen=True)
class Access:
    """What a request has to show.

    Args:
        token: None where anybody who reaches the service may use it, which only users of this machine should.
        names: host names of the service beside "localhost". Addresses are always taken: a page elsewhere that has a
            name of its own point here (DNS rebinding) comes with that name.
    """

    token: str | None = None
    names: frozenset[str] = frozenset()

    def allows_host(self, host: str) -> bool:
        """Whether a Host header, "name", "name:port", "[::1]:port", names this service."""
        name, _ = _split(host)
        return name in ("localhost", *self.names) or is_address(name)

    def is_token(self, given: str) -> bool:
        return self.token is not None and _same(given, self.token)

    def new_session(self, now: float | None = None) -> str:
        """The value of a cookie: when it ends, signed with the token, which it does not hold."""
        ends = int((time.time() if now is None else now) + SESSION_S)
        return f"{ends}.{self._signature(ends)}"

    def is_session(self, value: str, now: float | None = None) -> bool:
        """Whether a cookie's value is signed with the token and has not ended."""
        ends, _, signature = value.partition(".")
        if self.token is None or not (ends.isascii() and ends.isdigit() and len(ends) <= 12):
            return False
        return _same(signature, self._signature(int(ends))) and int(ends) > (time.time() if now is None else now)

    def _signature(self, ends: int) -> str:
        assert self.token is not None
        return hmac.new(self.token.encode(), f"raytrain session until {ends}".encode(), "sha256").hexdigest()


def same_origin(origin: str, host: str) -> bool:
    """Whether an Origin header, "http://name:port", is of the service that a Host header names."""
    scheme, separator, place = origin.partition("://")
    port = _HTTP_PORTS.get(scheme)
    if not separator or port is None:
        return False
    (name, own_port), (host_name, host_port) = _split(place), _split(host)
    return (name, own_port or port) == (host_name, host_port or port)


def is_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name.strip("[]"))
    except ValueError:
        return False
    return True


def read_token(file: str | os.PathLike[str] | None = None) -> tuple[str, Path]:
    """The token of a file, and its path; a new one with mode 600 where there is no file.

    Args:
        file: default TOKEN_FILE.

    Raises:
        RefusedError: others can read the file.
        UsageError: what it holds is too short, or no token.
    """
    path = Path(file or TOKEN_FILE).expanduser().absolute()
    make_secret(path, secrets.token_urlsafe(32))
    if others_may_read(path):
        raise RefusedError(f"others can read {path}, which holds the token: chmod 600 {path}, and make a new token")
    try:
        token = read_text(path).strip()
    except UnicodeDecodeError:
        token = ""
    if len(token) < MIN_TOKEN_CHARACTERS or not token.isascii() or not token.isprintable() or " " in token:
        raise UsageError(
            f"{path} holds no token: one line of at least {MIN_TOKEN_CHARACTERS} letters, digits or signs. Remove the "
            "file, and a token is made"
        )
    return token, path


def _split(place: str) -> tuple[str, str]:
    """("name", "port") of "name:port", in lower case; the port is "" where there is none."""
    place = place.lower()
    if place.startswith("["):
        name, _, rest = place.partition("]")
        return f"{name}]", rest.removeprefix(":")
    name, _, port = place.partition(":")
    return name, port


def _same(given: str, expected: str) -> bool:
    """Whether two texts are equal, in a time that does not say how far they are."""
    return hmac.compare_digest(given.encode("utf-8", "replace"), expected.encode("utf-8", "replace"))
