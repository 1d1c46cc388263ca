"""What the API takes and gives, as its OpenAPI document has it."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import Query
from pydantic import BaseModel, ConfigDict, Field

from raytrain.retrieval.hits import Hit
from raytrain.retrieval.scores import Kind
from raytrain.retrieval.texts import MAX_CHARACTERS

MAX_RESULTS = 100
MAX_ID_CHARACTERS = 1000

Text = Annotated[str | None, Query(max_length=MAX_CHARACTERS, description="what to look for, or what changes an image")]
To = Annotated[Kind, Query(description="what is searched")]
Number = Annotated[int, Query(ge=1, le=MAX_RESULTS, description="number of results")]
Rerank = Annotated[bool, Query(description="inductive re-ranking, where the run has settings of it")]


class SearchRequest(BaseModel):
    """A search by a text, by an image of the gallery, or by both."""

    model_config = ConfigDict(extra="forbid", strict=True)

    text: str | None = Field(None, max_length=MAX_CHARACTERS, description="what to look for, or what changes the item")
    item: str | None = Field(None, max_length=MAX_ID_CHARACTERS, description="id of an image of the gallery")
    to: Kind = Field("images", description="what is searched")
    k: int = Field(10, ge=1, le=MAX_RESULTS, description="number of results")
    rerank: bool = Field(False, description="inductive re-ranking, where the run has settings of it")


class Result(BaseModel):
    """One entry of the answer.

    `image` says whether /thumbnail/{id} and /image/{id} show it. Views are counted from 0; null where none decides.
    """

    rank: int
    id: str
    score: float
    text: str
    split: str
    query_view: int | None
    item_view: int | None
    image: bool


class SearchAnswer(BaseModel):
    """The results of a search, best first.

    `gallery` is the number of entries that were ranked, `seconds` the time from the whole request to the answer.
    """

    of: Kind
    gallery: int
    reranked: bool
    seconds: float
    results: list[Result]


class Failure(BaseModel):
    """Why a request was refused."""

    error: str


class Token(BaseModel):
    """What a login shows."""

    model_config = ConfigDict(extra="forbid", strict=True)

    token: str = Field(max_length=2000)


def result_of(hit: Hit, image: bool) -> Result:
    return Result(
        rank=hit.rank, id=hit.id, score=hit.score, text=hit.text, split=hit.split, query_view=hit.query_view,
        item_view=hit.item_view, image=image,
    )  # fmt: skip


_FAILURES = {
    401: "the token is missing or wrong",
    404: "the gallery has no image of this id",
    408: "the request arrived too slowly",
    413: "the request is too large",
    415: "the body is no image",
    422: "the query is wrong, or this run does not answer it",
    503: "too much at once; Retry-After says when to try again",
}


def failures(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """What an operation may answer beside its result."""
    return {status: {"model": Failure, "description": _FAILURES[status]} for status in statuses}


IMAGE_BODY: dict[str, Any] = {
    "requestBody": {
        "required": True,
        "description": "the bytes of one image file",
        "content": {
            kind: {"schema": {"type": "string", "format": "binary"}}
            for kind in ("image/jpeg", "image/png", "image/webp")
        },
    }
}
JPEG: dict[str, Any] = {"content": {"image/jpeg": {"schema": {"type": "string", "format": "binary"}}}}
