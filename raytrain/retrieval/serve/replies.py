"""Answers that are no search results: errors as JSON, and the headers of every answer."""

from __future__ import annotations

from starlette.responses import JSONResponse

POLICY = "; ".join(
    [
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "img-src 'self' blob: data:",  # blob: the preview of a chosen image; data: the empty icon
        "connect-src 'self'",
        "form-action 'self'",
        "base-uri 'none'",
        "frame-ancestors 'none'",
    ]
)
SECURITY_HEADERS = {
    "content-security-policy": POLICY,
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "referrer-policy": "no-referrer",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
}


class Refusal(Exception):
    """A request that is not answered.

    Args:
        status: of HTTP.
        message: for the client; it names nothing of the server's.
        headers: of the answer, beside the usual ones.
    """

    def __init__(self, status: int, message: str, headers: dict[str, str] | None = None) -> None:
        super().__init__(message)
        self.status, self.message, self.headers = status, message, headers or {}

    def response(self) -> JSONResponse:
        return JSONResponse({"error": self.message}, self.status, self.headers)


def busy(what: str) -> Refusal:
    """Too much at once; a client that tries again soon is answered."""
    return Refusal(503, f"{what}; try again in a moment", {"retry-after": "1"})


def unread(refusal: Refusal) -> Refusal:
    """A refusal before the request was read to its end: what it still sends is not read, and the connection ends."""
    refusal.headers["connection"] = "close"
    return refusal
