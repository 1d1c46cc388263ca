"""The ASGI app: the page, the API beneath it, and what refuses everything else."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator
from typing import Annotated

from fastapi import Body, FastAPI, Request, Response, Security
from fastapi.exceptions import RequestValidationError
from fastapi.security import HTTPBearer
from starlette.exceptions import HTTPException
from starlette.responses import HTMLResponse

import raytrain
from raytrain.retrieval.gallery import Gallery
from raytrain.retrieval.retriever import Retriever
from raytrain.retrieval.serve.access import SESSION_S, Access
from raytrain.retrieval.serve.bounds import UPLOAD, Bounds
from raytrain.retrieval.serve.guard import AUTHORISED, COOKIE, Guard
from raytrain.retrieval.serve.limits import Limits
from raytrain.retrieval.serve.pages import ASSETS, asset, login_page, search_page
from raytrain.retrieval.serve.replies import Refusal
from raytrain.retrieval.serve.schema import (
    IMAGE_BODY,
    JPEG,
    Number,
    Rerank,
    SearchAnswer,
    SearchRequest,
    Text,
    To,
    Token,
    failures,
)
from raytrain.retrieval.serve.searcher import Query, Searcher
from raytrain.retrieval.serve.service import Service

_HOUR = {"cache-control": "private, max-age=3600"}
_MAX_ERROR_CHARACTERS = 500


def create_app(
    retriever: Retriever,
    images: Gallery,
    captions: Gallery | None = None,
    *,
    limits: Limits | None = None,
    access: Access | None = None,
    run: str = "",
    rerank: bool = False,
) -> FastAPI:
    """The service.

    FastAPI's own pages, /docs and /redoc, load scripts from elsewhere and are left out; /openapi.json is there.

    Args:
        retriever: a trained model.
        images, captions: what is searched; without captions, images alone.
        limits: what it takes of a client at most.
        access: who may ask.
        run: name of the run, for the page.
        rerank: whether the page re-ranks until it is told otherwise.
    """
    limits, access = limits or Limits(), access or Access()
    searcher = Searcher(retriever, images, captions)
    service = Service(searcher, limits)
    page, files = search_page(searcher, run, rerank, limits), {name: asset(name) for name in ASSETS}

    @contextlib.asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        async with service.running():
            yield

    app = FastAPI(
        title="raytrain search",
        version=raytrain.__version__,
        lifespan=lifespan,
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
        dependencies=[Security(HTTPBearer(auto_error=False))] if access.token else [],  # what the document says of it
    )
    app.add_exception_handler(Refusal, _refused)
    app.add_exception_handler(RequestValidationError, _invalid)
    app.add_exception_handler(HTTPException, _no_such_page)
    app.add_middleware(Bounds, limits=limits)
    app.add_middleware(Guard, access=access)  # added last, asked first

    @app.get("/", include_in_schema=False)
    async def show_page(request: Request) -> HTMLResponse:
        authorised = request.scope[AUTHORISED]
        return HTMLResponse(page if authorised else login_page(), 200 if authorised else 401)

    @app.get("/static/{name}", include_in_schema=False)
    async def show_asset(name: str) -> Response:
        if name not in files:
            raise Refusal(404, "there is no such page")
        return Response(files[name], media_type=ASSETS[name])

    @app.post("/login", status_code=204, responses=failures(401), summary="Exchange the token for a cookie")
    async def log_in(request: Request, login: Token) -> Response:
        if not access.is_token(login.token):
            raise Refusal(401, "this is not the token")
        response = Response(status_code=204)
        response.set_cookie(
            COOKIE, access.new_session(), int(SESSION_S), httponly=True, samesite="strict",
            secure=request.url.scheme == "https",
        )  # fmt: skip
        return response

    @app.get("/healthz", summary="Whether the service answers")
    async def health() -> dict[str, str]:
        return {"status": "ok"}

    @app.post("/search", responses=failures(401, 404, 413, 422, 503), summary="Search by a text, an item, or both")
    async def search(query: Annotated[SearchRequest, Body()]) -> SearchAnswer:
        return await service.search(Query(query.text, None, query.item, query.to, query.k, query.rerank))

    @app.post(
        UPLOAD, responses=failures(401, 408, 413, 415, 422, 503), openapi_extra=IMAGE_BODY,
        summary="Search by an image, or an image with a text",
    )  # fmt: skip
    async def search_by_image(
        request: Request, text: Text = None, to: To = "images", k: Number = 10, rerank: Rerank = False
    ) -> SearchAnswer:
        if not request.headers.get("content-type", "").startswith("image/"):
            raise Refusal(415, "send the bytes of an image, with its type: Content-Type: image/jpeg")
        return await service.search(Query(text, None, None, to, k, rerank), await request.body())

    @app.get("/thumbnail/{item:path}", responses={200: JPEG, **failures(401, 404, 503)}, response_class=Response)
    async def thumbnail(item: str) -> Response:
        """A gallery's image by its id, at most 240 pixels a side."""
        return Response(await service.picture(item, small=True), media_type="image/jpeg", headers=_HOUR)

    @app.get("/image/{item:path}", responses={200: JPEG, **failures(401, 404, 503)}, response_class=Response)
    async def image(item: str) -> Response:
        """A gallery's image by its id, at most 1,600 pixels a side, without the file's metadata."""
        return Response(await service.picture(item, small=False), media_type="image/jpeg", headers=_HOUR)

    return app


async def _refused(request: Request, refusal: Exception) -> Response:
    assert isinstance(refusal, Refusal)
    return refusal.response()


async def _invalid(request: Request, error: Exception) -> Response:
    """Which fields are wrong, without what they held."""
    assert isinstance(error, RequestValidationError)
    wrong = "; ".join(f"{'.'.join(map(str, detail['loc'][1:]))}: {detail['msg']}" for detail in error.errors())
    return Refusal(422, wrong[:_MAX_ERROR_CHARACTERS].encode("utf-8", "replace").decode()).response()


async def _no_such_page(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    return Refusal(error.status_code, str(error.detail), dict(error.headers or {})).response()
