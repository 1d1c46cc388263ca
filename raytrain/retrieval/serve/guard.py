"""Who may ask, before anything is read of a request; the headers of every answer. ASGI middleware.

A page of another site cannot use the service through the browser of somebody who may: it comes with another Host, with
another Origin, or with Sec-Fetch-Site, and its script cannot read an answer.
"""

from __future__ import annotations

import logging
from http.cookies import CookieError, SimpleCookie

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from raytrain.retrieval.serve.access import Access, same_origin
from raytrain.retrieval.serve.replies import SECURITY_HEADERS, Refusal, unread

COOKIE = "raytrain_session"
AUTHORISED = "raytrain.authorised"
"""Key of a scope: whether the request has shown the token, or none is asked for."""
OPEN_PATHS = ("/healthz", "/login", "/static/login.js", "/static/search.css", "/static/serve.css")
"""Without the token: what a login takes, and what a load balancer asks."""

log = logging.getLogger("raytrain.serve")


class Guard:
    """Hands the app the requests of those who may ask.

    Args:
        app: that answers.
        access: what a request has to show.
    """

    def __init__(self, app: ASGIApp, access: Access) -> None:
        self.app, self.access = app, access

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        started = False

        async def send_with_headers(message: Message) -> None:
            nonlocal started
            if message["type"] == "http.response.start":
                started = True
                headers = MutableHeaders(scope=message)
                for name, value in SECURITY_HEADERS.items():
                    headers[name] = value
                headers.setdefault("cache-control", "no-store")
            await send(message)

        try:
            self._check(scope)
            await self.app(scope, receive, send_with_headers)
        except Refusal as refusal:
            await refusal.response()(scope, receive, send_with_headers)
        except Exception:
            log.exception("%s %r failed", scope["method"], scope["path"][:200])
            if started:
                raise
            await Refusal(500, "the service failed; its log says why").response()(scope, receive, send_with_headers)

    def _check(self, scope: Scope) -> None:
        """Raises Refusal for a request that nobody here should answer; says in the scope whether it may do all."""
        headers = Headers(scope=scope)
        host = headers.get("host", "")
        if len(headers.getlist("host")) != 1 or not self.access.allows_host(host):
            raise unread(Refusal(421, "the service is not called by this name"))
        site = headers.get("sec-fetch-site", "none")
        if scope["method"] not in ("GET", "HEAD"):
            origin = headers.get("origin")
            foreign = site not in ("none", "same-origin") if origin is None else not same_origin(origin, host)
        else:
            opens_page = headers.get("sec-fetch-mode") == "navigate" and headers.get("sec-fetch-dest") == "document"
            foreign = site not in ("none", "same-origin") and not opens_page
        if foreign:
            raise unread(Refusal(403, "pages of other sites may not use this service"))
        scope[AUTHORISED] = authorised = self._authorised(headers)
        path = scope["path"].removeprefix(scope.get("root_path", ""))
        if not authorised and path not in (*OPEN_PATHS, "/"):  # "/" is then the page of the login
            what = "the service asks for its token: Authorization: Bearer TOKEN"
            raise unread(Refusal(401, what, {"www-authenticate": "Bearer"}))

    def _authorised(self, headers: Headers) -> bool:
        if self.access.token is None:
            return True
        kind, _, given = headers.get("authorization", "").partition(" ")
        if kind.lower() == "bearer" and self.access.is_token(given.strip()):
            return True
        try:
            session = SimpleCookie(headers.get("cookie", "")).get(COOKIE)
        except CookieError:
            return False
        return session is not None and self.access.is_session(session.value)
