"""CIRR with frozen features of a CLIP-like model; the whole split is the gallery, without the reference.

Table: `raytrain data build cirr --root DIR --out TABLE`, then `raytrain data encode` as for FashionIQ
(raytrain/recipes/fashion_iq.py).
"""

from __future__ import annotations

from raytrain.config import RunConfig, override
from raytrain.recipes.fashion_iq import combiner_fashion_iq, rau_fashion_iq


def rau_cirr() -> RunConfig:
    """RAU on frozen features, as `rau_fashion_iq`; the published CIRR table could not be read.

    Run: `raytrain train rau_cirr data.table=TABLE`. Not reproduced here: it needs the images and a GPU.
    """
    return _on_cirr(rau_fashion_iq())


def combiner_cirr() -> RunConfig:
    """CLIP4Cir's Combiner on frozen features. Run: `raytrain train combiner_cirr data.table=TABLE`."""
    return _on_cirr(combiner_fashion_iq())


def _on_cirr(base: RunConfig) -> RunConfig:
    return override(base, {"experiment": "cirr", "data.table": "tables/cirr"})
