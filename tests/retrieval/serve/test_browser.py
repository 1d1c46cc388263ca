"""The page as people use it, in chromium: log in, type, choose an image, go on from a result."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from raytrain.retrieval import Gallery, Retriever
from raytrain.retrieval.serve import Access, Limits, create_app
from tests.chromium import Page, chromium
from tests.retrieval.serve.clients import listening, picture

HOSTILE = "<script>document.title='hit'</script><img src=x onerror=\"document.title='hit'\">🐕 of {}"
TOKEN = "t" * 32


def results(page: Page) -> list[str]:
    ids: list[str] = page.run("[...document.querySelectorAll('#results .id')].map(part => part.textContent)")
    return ids


def violations(page: Page) -> object:
    """What axe-core finds of contrast, labels, headings, texts of images and landmarks."""
    package = pytest.importorskip("axe_core_python", reason="axe_core_python brings axe-core")
    if not page.run("'axe' in window"):
        page.run(f"{(Path(package.__file__).parent / 'axe.min.js').read_text(encoding='utf-8')};0")
    return page.run("axe.run().then(done => done.violations.map(one => [one.id, one.nodes.map(node => node.html)]))")


def test_people_search_by_text_image_and_result(
    retriever: Retriever, images: Gallery, captions: Gallery, tmp_path: Path
) -> None:
    hostile = replace(images, texts=[HOSTILE.format(identity) for identity in images.ids])
    app = create_app(retriever, hostile, captions, access=Access(TOKEN), run="tiny")
    (tmp_path / "own.png").write_bytes(picture())
    with chromium(tmp_path) as page, listening(app, Limits()) as port:
        page.show(1400)
        page.open(f"http://127.0.0.1:{port}/#text=a+dog&k=20")
        assert violations(page) == []
        page.run("document.getElementById('token').focus()")
        page.send("Input.insertText", text=TOKEN)
        page.press("Enter")
        page.wait("document.querySelectorAll('#results li').length === 16")  # the query was in the address
        expected = [hit.id for hit in retriever.search("a dog", 16)]
        assert [identity.split(" · ")[0] for identity in results(page)] == expected
        assert page.run("document.querySelector('#results img').alt") == HOSTILE.format(expected[0])
        assert page.run("document.getElementById('status').textContent").startswith("The 16 best of 16 images, in ")
        page.wait("[...document.images].every(image => image.complete)")
        assert page.run("document.querySelector('#results img').naturalWidth") == 40

        page.run("document.getElementById('text').select()")
        page.send("Input.insertText", text="a cat")
        page.press("Enter")
        page.wait("location.hash.includes('a+cat') && !document.querySelector('.busy')")
        assert [identity.split(" · ")[0] for identity in results(page)] == [h.id for h in retriever.search("a cat", 16)]

        page.choose_file("#file", tmp_path / "own.png")
        page.wait("!document.getElementById('preview').hidden && !document.querySelector('.busy')")
        by_image = retriever.search(image=tmp_path / "own.png", k=16)
        assert [identity.split(" · ")[0] for identity in results(page)] == [hit.id for hit in by_image]
        for width, dark in ((390, False), (1400, True)):
            page.show(width, dark=dark)
            assert violations(page) == []
            assert page.run("document.documentElement.scrollWidth <= innerWidth")
        page.run("document.querySelector('#results button').click()")
        page.wait("location.hash.includes('item=') && !document.querySelector('.busy')")
        assert len(results(page)) == 15 and by_image[0].id not in [part.split(" · ")[0] for part in results(page)]
        page.run("document.querySelector('[value=texts]').click()")
        page.run("document.getElementById('query').requestSubmit()")
        page.wait("document.querySelector('#results.captions')")
        assert page.run("document.title").startswith("Search in ")  # no caption's script has run
        assert [line for line in page.messages if "401" not in line] == []
