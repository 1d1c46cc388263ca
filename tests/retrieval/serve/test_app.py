"""The API, against the Retriever beneath it; what it shows and hides."""

from __future__ import annotations

import io
import json
import re
from typing import Any

import pytest
from PIL import Image
from starlette.testclient import TestClient

from raytrain.data.table import Table
from raytrain.retrieval import Gallery, Item, Retriever
from raytrain.retrieval.hits import Hit
from raytrain.retrieval.serve import Access, create_app
from raytrain.retrieval.serve.guard import COOKIE
from tests.retrieval.runs import SENTENCES
from tests.retrieval.serve.clients import client_of, picture

TEXTS = [f"{sentence} {number}" for number, sentence in enumerate(SENTENCES * 4)]
PICTURES = [picture(seed, kind) for seed, kind in enumerate(["PNG", "JPEG", "WEBP", "PNG"] * 5)]


def ids(answer: dict[str, Any]) -> list[str]:
    return [result["id"] for result in answer["results"]]


def same(answer: dict[str, Any], hits: list[Hit]) -> None:
    assert ids(answer) == [hit.id for hit in hits]
    assert [result["score"] for result in answer["results"]] == pytest.approx([hit.score for hit in hits], abs=1e-5)
    assert [result["item_view"] for result in answer["results"]] == [hit.item_view for hit in hits]


def by_image(client: TestClient, data: bytes, **query: Any) -> Any:
    return client.post("/search/image", params=query, content=data, headers={"content-type": "image/png"})


def test_twenty_texts_and_images_find_what_the_retriever_finds(
    client: TestClient, retriever: Retriever, images: Gallery, captions: Gallery
) -> None:
    for text in TEXTS:
        same(client.post("/search", json={"text": text, "k": 5}).json(), retriever.search(text, 5, gallery=images))
    for data in PICTURES:
        same(by_image(client, data, k=16).json(), retriever.search(image=data, k=16, gallery=images))
    same(by_image(client, PICTURES[0], to="texts").json(), retriever.search(image=PICTURES[0], gallery=captions))


def test_twenty_images_with_texts_find_what_the_retriever_finds(
    composed_client: TestClient, composed_retriever: Retriever
) -> None:
    for text, data in zip(TEXTS, PICTURES, strict=True):
        same(by_image(composed_client, data, text=text).json(), composed_retriever.search(text, image=data))
    item = composed_client.post("/search", json={"text": "in red", "item": "val-1"}).json()
    same(item, composed_retriever.search("in red", image=Item("val-1")))
    assert composed_client.post("/search", json={"text": "in red"}).status_code == 422


def test_more_like_an_item_leaves_it_out(client: TestClient, retriever: Retriever) -> None:
    answer = client.post("/search", json={"item": "3.jpg", "k": 16}).json()
    same(answer, retriever.search(image=Item("3.jpg"), k=16))
    assert "3.jpg" not in ids(answer) and answer["gallery"] == 16 and answer["results"][0]["image"]
    texts = client.post("/search", json={"item": "3.jpg", "to": "texts"}).json()
    assert texts["of"] == "texts" and not texts["results"][0]["image"] and texts["gallery"] == 32


@pytest.mark.parametrize(
    ("body", "status", "message"),
    [
        ({}, 422, "nothing to search by"),
        ({"text": " \n"}, 422, "is empty"),
        ({"text": "x" * 10_001}, 422, "text: String should have at most 10000"),
        ({"text": 7}, 422, "text: Input should be a valid string"),
        ({"text": "a", "k": 0}, 422, "k: Input should be greater"),
        ({"text": "a", "k": 101}, 422, "k: "),
        ({"text": "a", "k": "5"}, 422, "k: Input should be a valid integer"),
        ({"text": "a", "to": "test"}, 422, "to: Input should be 'images' or 'texts'"),
        ({"text": "a", "to": "texts"}, 422, "does not search texts by a text. It searches images by a text; "),
        ({"text": "a", "table": "/etc"}, 422, "table: Extra inputs"),
        ({"text": "a", "rerank": True}, 422, "no re-ranking here"),
        ({"item": "nobody"}, 404, "no image of this id"),
        ({"item": "../../etc/passwd"}, 404, "no image of this id"),
        ({"text": "a", "item": "3.jpg"}, 422, "does not search images by an image of the gallery with a text"),
        ([], 422, ""),
    ],
)
def test_a_wrong_query_is_told_in_a_line_without_paths(
    client: TestClient, body: Any, status: int, message: str
) -> None:
    answer = client.post("/search", json=body)
    assert answer.status_code == status and message in answer.json()["error"]
    assert "/" not in answer.json()["error"].replace("/etc", "")


@pytest.mark.parametrize(
    "body", [b"", b"{", b'{"text": "\\ud800"}', b"[" * 100_000, b'{"text":' * 20_000, b"\xff\xfe", b"NaN", b'"a"']
)
def test_a_body_that_is_no_query_is_refused(client: TestClient, body: bytes) -> None:
    answer = client.post("/search", content=body, headers={"content-type": "application/json"})
    assert 400 <= answer.status_code < 500 and set(answer.json()) == {"error"}


def test_texts_of_any_letters_are_searched(client: TestClient) -> None:
    for text in ("🐕‍🦺 on 草", "\u202edog", "a\x00b", "<script>alert(1)</script>", "'; DROP TABLE", "x" * 10_000):
        assert client.post("/search", json={"text": text, "k": 1}).status_code == 200


def test_only_images_are_searched_by_and_only_as_such(client: TestClient) -> None:
    assert client.post("/search/image", content=picture(), headers={"content-type": "text/plain"}).status_code == 415
    answer = by_image(client, b"just a text", k=3)
    assert answer.status_code == 422 and "the image: not a JPEG, PNG or WEBP image" in answer.json()["error"]
    assert "repeat" not in answer.text and "BytesIO" not in answer.text


def test_pictures_are_of_the_gallery_alone_and_without_metadata(client: TestClient, images: Gallery) -> None:
    for path, largest in (("thumbnail", 240), ("image", 1600)):
        answer = client.get(f"/{path}/3.jpg")
        assert answer.status_code == 200 and answer.headers["content-type"] == "image/jpeg"
        assert max(Image.open(io.BytesIO(answer.content)).size) <= largest
        root = str(images.table.image_root) if images.table else ""
        for identity in ("4711.jpg", "..%2f..%2fetc%2fpasswd", f"{root}/3.jpg", "%2e%2e/3.jpg", "3.jpg%00",
                         "images/3.jpg", "3.JPG", "%ff", ""):  # fmt: skip
            answer = client.get(f"/{path}/{identity}")
            assert answer.status_code == 404, identity
            assert root not in answer.text


def test_what_is_not_there_is_refused_as_json(client: TestClient) -> None:
    for path in ("/docs", "/redoc", "/nothing", "/static/serve.py", "/static/..%2fserve.py", "/search"):
        answer = client.get(path)
        assert answer.status_code in (404, 405) and set(answer.json()) == {"error"}
    assert client.get("/healthz").json() == {"status": "ok"}


def test_the_document_of_the_api_loads_nothing_and_names_each_operation(client: TestClient) -> None:
    document = client.get("/openapi.json").json()
    assert set(document["paths"]) == {
        "/login", "/healthz", "/search", "/search/image", "/thumbnail/{item}", "/image/{item}"
    }  # fmt: skip
    assert "image/png" in document["paths"]["/search/image"]["post"]["requestBody"]["content"]
    assert not re.search(r"https?://", json.dumps(document))


def test_a_login_gives_a_cookie_that_scripts_cannot_read(retriever: Retriever, images: Gallery) -> None:
    access = Access("t" * 32)
    with client_of(create_app(retriever, images, access=access)) as client:
        assert client.get("/").status_code == 401 and 'id="token"' in client.get("/").text
        assert client.post("/search", json={"text": "a"}).status_code == 401
        assert client.get("/thumbnail/3.jpg").status_code == 401 and client.get("/openapi.json").status_code == 401
        assert client.post("/login", json={"token": "T" * 32}).status_code == 401
        answer = client.post("/login", json={"token": "t" * 32})
        assert answer.status_code == 204 and "t" * 32 not in answer.headers["set-cookie"]
        assert {"HttpOnly", "SameSite=strict", "Path=/"} <= set(answer.headers["set-cookie"].split("; "))
        assert 'id="query"' in client.get("/").text and client.get("/image/3.jpg").status_code == 200
        client.cookies.set(COOKIE, "9" * 12 + "." + "0" * 64, domain="127.0.0.1", path="/")
        client.cookies.clear()
        assert client.get("/image/3.jpg").status_code == 401
        header = {"authorization": f"Bearer {'t' * 32}"}
        assert client.post("/search", json={"text": "a"}, headers=header).status_code == 200


def test_what_the_model_fails_at_names_nothing(
    retriever: Retriever, images: Gallery, monkeypatch: pytest.MonkeyPatch
) -> None:
    with client_of(create_app(retriever, images)) as client:

        def fail(*given: Any, **more: Any) -> None:
            raise RuntimeError("/secret/place")

        monkeypatch.setattr(retriever, "search_many", fail)
        answer = client.post("/search", json={"text": "a"})
    assert answer.status_code == 500 and answer.json() == {"error": "the service failed; its log says why"}
    assert answer.headers["x-content-type-options"] == "nosniff"


def test_captions_reach_no_page_as_markup(client: TestClient, triplets: Table) -> None:
    """The page is the same whatever the table holds; a script puts captions in as text."""
    script = client.get("/static/serve.js").text
    assert not re.search(r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\b", script)
