"""The verb that embeds a table for searches: index."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import typer

from raytrain.cli.options import Device, OneSplit, OtherTable, TrainedModel
from raytrain.cli.verb import CLUSTER, DATA, OUTPUT, option, verb

app = typer.Typer()
_CANDIDATES = "Candidates"


@verb(
    app,
    "index",
    "raytrain index runs/emoji/RUN",
    "raytrain index runs/flickr8k/RUN --table tables/mine --out indexes/mine",
    "raytrain index runs/flickr8k/RUN --table tables/mine --out indexes/mine --faiss sq8",
    "raytrain index runs/flickr8k/RUN --table tables/mine --out indexes/mine --remove ids.txt",
    panel="Use",
)
def run_index(
    folder: TrainedModel,
    *,
    table: OtherTable = None,
    split: OneSplit = None,
    of: Annotated[Literal["images", "texts"], option("--of", DATA, "what is embedded")] = "images",
    remove: Annotated[
        str | None,
        option("--remove", DATA, "file with an id per line, to take out of the index for good", metavar="FILE"),
    ] = None,
    faiss: Annotated[
        Literal["flat", "fp16", "sq8", "hnsw", "none"] | None,
        option(
            "--faiss",
            _CANDIDATES,
            "what finds candidates: all vectors in 32, 16 or 8 bits per number, or a graph of means; default what the "
            "index has",
        ),
    ] = None,
    device: Device = None,
    workers: Annotated[int, option("--workers", CLUSTER, "Ray Data actors; 0 embeds in this process")] = 0,
    shard_items: Annotated[
        int, option("--shard-items", CLUSTER, "images or texts per shard: what a kill costs at most, per worker")
    ] = 2048,
    out: Annotated[
        str | None,
        option("--out", OUTPUT, "folder of the index; default indexes/TABLE-images in the run", metavar="FOLDER"),
    ] = None,
) -> dict[str, Any]:
    """Embed a table for `search --index`, or bring an index up to date with its table."""
    options: dict[str, Any] = {
        "of": of, "split": split, "faiss": faiss, "remove_ids": remove, "device": device, "shard_items": shard_items,
    }  # fmt: skip
    if workers == 0:
        from raytrain.retrieval.indexing.index_run import index_run

        answer = index_run(folder, table, out, **options)
    else:
        from raytrain.cluster.index import index_on_ray

        answer = index_on_ray(folder, workers, table=table, out=out, **options)
    _print_answer(answer)
    return answer


def _print_answer(answer: dict[str, Any]) -> None:
    from raytrain.files import size

    changes = ", ".join(f"{answer[name]:,} {name}" for name in ("kept", "embedded", "removed"))
    print(f"{answer['index']}: {answer['items']:,} {answer['of']}, {size(answer['bytes'])} ({changes})")
    if answer["left_out"]:
        print(f"  {answer['left_out']:,} images without features are left out")
    if answer["kept_out"]:
        print(f"  {answer['kept_out']:,} ids that were removed are kept out")
    measured = answer["measured"]
    if measured is None:
        return
    line = f"{answer['faiss']}: {measured['proved']} of {measured['queries']} {measured['asked_by']} proved exact"
    if measured["recall"] is not None:
        line += f", recall at {measured['k']} of the others {measured['recall']:.3f}"
    print(f"  {line}")
