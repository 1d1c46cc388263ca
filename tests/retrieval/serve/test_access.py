"""Tokens, cookies and names."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest

from raytrain.errors import RefusedError, UsageError
from raytrain.retrieval.serve.access import SESSION_S, Access, read_token, same_origin


@pytest.mark.parametrize(
    ("host", "allowed"),
    [
        ("127.0.0.1:8000", True), ("localhost", True), ("LOCALHOST:1", True), ("[::1]:8000", True), ("10.0.0.7", True),
        ("photos.example.org:8000", True), ("evil.example", False), ("", False), ("localhost.evil.example", False),
        ("127.0.0.1.evil.example", False), ("localhost@evil.example", False),
    ],
)  # fmt: skip
def test_the_service_is_called_by_its_names_and_by_addresses(host: str, allowed: bool) -> None:
    assert Access(names=frozenset({"photos.example.org"})).allows_host(host) == allowed


@pytest.mark.parametrize(
    ("origin", "host", "same"),
    [
        ("http://127.0.0.1:8000", "127.0.0.1:8000", True), ("https://a.org", "a.org", True),
        ("https://a.org", "a.org:443", True), ("http://[::1]:8000", "[::1]:8000", True),
        ("http://127.0.0.1:9000", "127.0.0.1:8000", False), ("http://evil.example", "127.0.0.1:8000", False),
        ("null", "127.0.0.1:8000", False), ("", "127.0.0.1", False), ("file://", "", False),
    ],
)  # fmt: skip
def test_an_origin_is_the_services_own_or_another(origin: str, host: str, same: bool) -> None:
    assert same_origin(origin, host) == same


def test_a_session_ends_and_is_signed_by_the_token() -> None:
    access = Access("a" * 20)
    session = access.new_session(now=0.0)
    assert "a" * 20 not in session and access.is_session(session, now=SESSION_S - 1)
    assert not access.is_session(session, now=SESSION_S + 1)
    ends, _, signature = session.partition(".")
    for forged in (f"{int(ends) + 1}.{signature}", ends, f".{signature}", "", f"{ends}.ü", f"²3.{signature}"):
        assert not access.is_session(forged, now=0.0)
    assert not Access("b" * 20).is_session(session, now=0.0) and not Access().is_session(session, now=0.0)


def test_a_token_is_itself_alone() -> None:
    assert Access("a" * 20).is_token("a" * 20)
    assert not any(Access("a" * 20).is_token(given) for given in ("", "a" * 19, "a" * 21, "ü", "\udc80"))
    assert not Access().is_token("")


def test_a_token_is_made_once_for_this_user_alone(tmp_path: Path) -> None:
    token, path = read_token(tmp_path / "new" / "token")
    assert stat.S_IMODE(path.stat().st_mode) == 0o600 and len(token) >= 32
    assert read_token(path) == (token, path)
    path.chmod(0o644)
    with pytest.raises(RefusedError, match="others can read"):
        read_token(path)


@pytest.mark.parametrize("text", ["short", "", "two words which are long enough", "ü" * 30])
def test_what_is_no_token_is_refused(text: str, tmp_path: Path) -> None:
    path = tmp_path / "token"
    path.touch(mode=0o600)
    path.write_text(text)
    with pytest.raises(UsageError, match="holds no token"):
        read_token(path)
