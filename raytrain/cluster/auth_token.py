"""The token that a Ray cluster asks for: where it lies, who may read it, and whether a cluster asks for it at all.

Whoever reaches a cluster that asks for none runs code on every node of it, as whoever reads the token does.
"""

from __future__ import annotations

import json
import os
import secrets
import urllib.request
from pathlib import Path

from raytrain.cluster import compat
from raytrain.errors import RefusedError
from raytrain.files import make_secret, others_may_read


def token_path() -> Path:
    """The file that Ray reads the token from."""
    return Path(os.environ.get("RAY_AUTH_TOKEN_PATH") or "~/.ray/auth_token").expanduser()


def use_token() -> None:
    """Have Ray show its token to the cluster that this process joins. Before Ray is imported, which reads this once.

    Raises:
        RefusedError: RAY_AUTH_MODE asks for a cluster without one, or others can read the token's file.
    """
    mode = os.environ.setdefault("RAY_AUTH_MODE", "token").lower()
    if mode != "token":
        raise RefusedError(
            f"RAY_AUTH_MODE is '{mode}': anyone who reaches the cluster could run code on it. "
            "Unset it, or set RAY_AUTH_MODE=token."
        )
    if not os.environ.get("RAY_AUTH_TOKEN"):
        path = token_path()
        if path.is_file() and others_may_read(path):
            raise RefusedError(
                f"others can read {path}, which holds a cluster's token: chmod 600 {path}, and make a new token"
            )


def make_token() -> None:
    """As `use_token`, for a cluster that is started here: where there is no token, one that only this user can read."""
    os.environ.setdefault("RAY_AUTH_TOKEN_PATH", str(Path.home() / ".raytrain" / "ray_auth_token"))
    use_token()
    if os.environ.get("RAY_AUTH_TOKEN"):
        return
    make_secret(token_path(), secrets.token_hex(32))


def refuse_open_cluster(address: str) -> None:
    """Raises RefusedError where the cluster at host:port of its head answers a stranger, who shows no token."""
    import grpc

    with grpc.insecure_channel(address, options=[("grpc.enable_http_proxy", 0)]) as channel:
        try:
            channel.unary_unary(compat.ALIVE)(b"", timeout=20)
        except grpc.RpcError:  # UNAUTHENTICATED; over TLS it does not answer at all
            return
    raise RefusedError(_OPEN.format(address))


def refuse_open_dashboard(address: str) -> None:
    """Raises RefusedError where the dashboard at this URL says that its cluster asks for no token."""
    try:
        with urllib.request.urlopen(f"{address}/api/authentication_mode", timeout=20) as answer:
            mode = json.loads(answer.read(1000)).get("authentication_mode")
    except (OSError, ValueError, AttributeError):  # whoever sends a job next is told why nothing answers
        return
    if mode == "disabled":
        raise RefusedError(_OPEN.format(address))


_OPEN = (
    "the cluster at {} asks for no token: anyone who reaches it runs code on it. Start every node with "
    "RAY_AUTH_MODE=token and RAY_AUTH_TOKEN_PATH."
)
