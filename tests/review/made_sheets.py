"""A contact sheet made up in a test."""

from __future__ import annotations

from raytrain.evaluation.contact_sheet import ContactSheet, Entry, Query, Ranking, Section


def entry(rank: int, file: str = "", text: str = "a dog", right: bool = False) -> Entry:
    return Entry(rank=rank, id=f"id{rank}", text=text, file=file, score=1 / rank, right=right, item_view=rank % 2)


def a_sheet(text: str = "a dog", systems: int = 1, ranks_sha256: str = "a") -> ContactSheet:
    """A caption answered at rank 2 and another at rank 9 by image files, and "far.png" with its captions.

    Args:
        text: of every caption.
        systems: rankings of each query.
        ranks_sha256: of the evaluation that it shows.
    """
    first = [entry(rank, f"{rank}.png", text, right=rank == 2) for rank in range(1, 6)]
    wrong = [entry(rank, f"{rank}.png", text) for rank in range(1, 6)]
    captions = [entry(rank, "", text, right=rank == 1) for rank in range(1, 6)]
    near = Ranking(first=first, best=first[1])
    far = Ranking(first=wrong, best=entry(9, "far.png", text, right=True))
    texts = [
        Query(position=0, id="t0", text=text, file="", rankings=[near] * systems),
        Query(position=3, id="t3", text=text, file="", rankings=[far] * systems),
    ]
    captioned = Ranking(first=captions, best=captions[0])
    image = Query(position=1, id="i1", text="", file="far.png", rankings=[captioned] * systems)
    return ContactSheet(
        run="run", split="val", protocol="split/val", fingerprint="f" * 64, checkpoint="checkpoint_00000001",
        systems=["without re-ranking", "re-ranked"][:systems], gallery={"t2i": 20, "i2t": 40},
        ranks_sha256=ranks_sha256, seed=0,
        sections=[
            Section(rule="worst", title="Ranked worst", direction="t2i", drawn="The worst.", queries=texts),
            Section(rule="worst", title="Ranked worst", direction="i2t", drawn="The worst.", queries=[image]),
        ],
    )  # fmt: skip
