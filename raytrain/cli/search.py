"""The verb that uses a finished run: search."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal

import typer

from raytrain.cli.options import Device, OneSplit, OtherTable, TrainedModel
from raytrain.cli.terminal import print_columns
from raytrain.cli.verb import DATA, OUTPUT, option, verb

app = typer.Typer()
_QUERY = "Query"


@verb(
    app,
    "search",
    'raytrain search runs/emoji/RUN "a red shoe" --html page.html',
    "raytrain search runs/emoji/RUN --image photo.jpg --to texts",
    'raytrain search runs/products/RUN "in blue" --image shoe.jpg',
    'raytrain search runs/flickr8k/RUN "a red shoe" --index indexes/mine',
    'raytrain search models:/emoji@champion "a red shoe"',
    panel="Use",
)
def run_search(
    folder: TrainedModel,
    text: Annotated[str | None, typer.Argument(metavar="[TEXT]", help="what to look for")] = None,
    *,
    image: Annotated[
        str | None,
        option("--image", _QUERY, "image to search by; with a text that changes it, in composed runs", metavar="FILE"),
    ] = None,
    item: Annotated[
        str | None, option("--item", _QUERY, "image of the table to search by, by its id", metavar="ID")
    ] = None,
    to: Annotated[
        Literal["images", "texts"] | None,
        option("--to", _QUERY, "what is searched; default images, or what the index holds"),
    ] = None,
    rerank: Annotated[
        bool, option("--rerank", _QUERY, "re-rank over a bank of training queries, as `raytrain rerank --bank` chose")
    ] = False,
    table: OtherTable = None,
    split: OneSplit = None,
    index: Annotated[
        str | None,
        option("--index", DATA, "folder that `raytrain index` made, in place of embedding the table", metavar="FOLDER"),
    ] = None,
    device: Device = None,
    k: Annotated[int, option("-k", OUTPUT, "number of results")] = 10,
    html: Annotated[
        str | None, option("--html", OUTPUT, "also write a page with thumbnails, one file", metavar="FILE")
    ] = None,
) -> dict[str, Any]:
    """Search the images or texts of a table by a text, an image, or both."""
    from raytrain.retrieval.search import search_run

    answer = search_run(
        folder, text, image, item, table=table, of=to, split=split, index=index, k=k, rerank=rerank, device=device,
        html=html,
    )  # fmt: skip
    _print_answer(answer)
    return answer


def _print_answer(answer: Mapping[str, Any]) -> None:
    from raytrain.retrieval.hits import view_text

    captions = answer["of"] == "texts" or answer["table"] is None  # images stored with an export have no files here
    header = ("rank", "score", "view", "id", "caption" if captions else "file")
    rows = [
        (
            str(result["rank"]),
            f"{result['score']:.4f}",
            view_text(result["query_view"], result["item_view"]),
            result["id"],
            " ".join(result["text"].split()) if captions else result["path"] or "",
        )
        for result in answer["results"]
    ]
    shown = [number for number in range(5) if number != 2 or any(row[2] for row in rows)]  # no empty column of views
    print_columns([[row[number] for number in shown] for row in (header, *rows)])
    place = f"of {answer['table']}" if answer["table"] else f"stored with {answer['run']}"
    reranked = ", re-ranked (inductive)" if answer["reranked"] else ""
    print(f"{len(rows)} of {answer['gallery']:,} {answer['of']} {place}{reranked}")
    if answer["index"]:
        print(f"  {answer['certainty']['text']}")
    for note in answer["notes"]:
        print(f"  {note}")
    if answer["html"]:
        print(f"  {answer['html']}")
