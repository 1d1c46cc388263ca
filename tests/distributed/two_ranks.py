"""Two gloo processes, started once: a step of every method, a whole run, a run with a NaN, and the collectives."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist
import torch.multiprocessing as mp
from torch.nn.parallel import DistributedDataParallel

from benchmarks.exchanges import count_gradients, counted
from raytrain.config import RunConfig
from raytrain.data.table import Table
from raytrain.distributed import any_rank, gather, rank, synchronise_batch_norm
from raytrain.errors import NonFiniteError
from raytrain.methods.base import StepContext
from raytrain.scoring.embed import embed_split, score
from raytrain.scoring.feed import open_feed
from raytrain.training.build import build_method, open_batches
from raytrain.training.fit import fit
from raytrain.training.run import open_tables
from raytrain.training.schedule import Plateau
from raytrain.training.train_state import trainable, training_input
from tests.runs import tiny
from tests.tables import make_query_table, make_table

CPU = torch.device("cpu")
DIVE: dict[str, Any] = {
    "method__kind": "dive", "method__dropout": 0.0, "method__head_dim": 4, "method__mean_warmup_epochs": 1,
    "optim__batch_size": 6,
}  # fmt: skip
QUERY: dict[str, Any] = {"method__kind": "composed", "method__dropout": 0.0, "optim__batch_size": 12}
SCAN_WORDS: dict[str, Any] = {"method__kind": "scan", "method__pooling": "mean", "encoder__text__kind": "bigru"}
SGRAF: dict[str, Any] = {
    "method__kind": "sgraf", "method__dropout": 0.0, "method__sim_dim": 6, "method__mean_warmup_epochs": 1,
}  # fmt: skip
SINGLE_VECTOR: dict[str, Any] = {
    "method__kind": "vse_infinity", "method__loss": "both", "encoder__text_head": "mlp",
    "encoder__text_pool_first": True, "encoder__pooling": "mean",
}  # fmt: skip
METHODS: dict[str, dict[str, Any]] = {
    "vse_infinity": {"method__kind": "vse_infinity"},
    "vse_infinity-single": SINGLE_VECTOR,
    "dvse": {"method__weight_gradient": True, "method__fused_weight": 0.5, "method__score": "learned"},
    "dive": DIVE,
    "dive-ragged": {**DIVE, "method__diversity_of": "final", "optim__batch_size": 4},
    "dive-words": {**DIVE, "encoder__text__kind": "bigru", "method__similarity": "match_probability"},
    "dive-infonce": {**DIVE, "method__loss": "infonce"},
    "dive-pairs": {**DIVE, "data__batch_by": "pair", "method__aggregator": "pie_net", "method__diversity": "gram"},
    "maxmatch": {**DIVE, "method__kind": "maxmatch"},
    "vsepp": {"method__kind": "vsepp", "method__mean_warmup_epochs": 1, "method__order": True},
    "vsepp-words": {"method__kind": "vsepp", "encoder__text__kind": "bigru", "method__same_image": "negative"},
    "mv_vse": {"method__kind": "mv_vse", "method__bounds": "smooth"},
    "pvse": {"method__kind": "pvse", "method__mean_warmup_epochs": 1},
    # sums over all pairs: the smaller scale keeps their gradients, and what rounding leaves of them, small
    "pcme": {
        "method__kind": "pcme",
        "method__uniformity_weight": 1.0,
        "method__log_sigma_start": -2.0,
        "method__match_scale": 2.0,
        "method__match_shift": 2.0,
    },
    "pcme-words": {"method__kind": "pcme", "encoder__text__kind": "bigru", "method__search_by": "match_probability"},
    "pcmepp": {"method__kind": "pcmepp", "method__vib_weight": 1.0, "method__infonce_weight": 0.5},
    "pcmepp-mixed": {"method__kind": "pcmepp", "method__mix": "both", "method__mix_share": 0.8},
    "pcmepp-words": {"method__kind": "pcmepp", "encoder__text__kind": "bigru", "method__variance_norm": False},
    "asymvlm": {"method__kind": "asymvlm", "method__concentration_start": 3.0},
    "dvse-margin": {"method__orth_penalty": "margin", "method__orth_weight": 5.0, "method__loss": "infonce"},
    "query-rau": {**QUERY, "method__kind": "rau", "method__theta": 0.5, "method__theta_mode": "quantile"},
    "query-rau-words": {**QUERY, "method__kind": "rau", "method__shared_blocks": True, "encoder__text__kind": "bigru"},
    "query-tirg": {**QUERY, "method__composition": "tirg", "method__scale_learned": True},
    "query-mgur": {**QUERY, "method__composition": "fusion", "method__base_loss": "multi_grained"},
    "query-image": {**QUERY, "method__composition": "image"},
    "scan": {"method__kind": "scan", "method__mean_warmup_epochs": 1},
    "scan-words": {**SCAN_WORDS, "method__direction": "i2t"},
    "vsrn": {"method__kind": "vsrn", "method__mean_warmup_epochs": 1},
    "vsrn-words": {
        "method__kind": "vsrn",
        "encoder__text__kind": "bigru",
        "method__caption_weight": 1.0,
        "method__caption_dim": 6,
        "method__caption_dropout": 0.0,
    },
    "caan": {"method__kind": "caan", "method__hidden_dim": 6},
    "imram": {"method__kind": "imram", "method__direction": "both", "method__steps": 2},
    "imram-words": {"method__kind": "imram", "encoder__text__kind": "bigru", "method__refined_norm": True},
    "naaf": {"method__kind": "naaf", "method__sample_words": 2},  # so few that the first step estimates
    "naaf-words": {"method__kind": "naaf", "encoder__text__kind": "bigru", "method__memory_mib": 1},
    "sgraf-sgr": {**SGRAF, "method__module": "sgr"},
    "sgraf-saf": {**SGRAF, "method__module": "saf", "method__memory_mib": 1},  # in blocks that are computed again
}

WITHOUT_WARM_UP = (
    "dive-infonce", "pcme", "pcme-words", "pcmepp", "pcmepp-mixed", "pcmepp-words", "asymvlm", "dvse-margin",
    "query-tirg", "query-image",
)  # fmt: skip
"""Methods whose loss is the same in all epochs."""


def epochs_of(name: str) -> tuple[float, ...]:
    """Epochs in which the method's step is taken: with its warm-up, where it has one, and after it."""
    return (2.0,) if name in WITHOUT_WARM_UP else (0.0, 2.0)


IN_PARTS = ("dvse", "dive-ragged", "query-rau", "sgraf-saf")
"""Methods that two ranks also train in two parts each."""


@dataclass(frozen=True)
class TwoRanks:
    """What two ranks computed.

    Args:
        folder: storage of their runs.
        table: that they trained on; those of other kinds lie beside it.
        results: of each rank. {"<method> <epoch>" and "<method> in parts": as `one_step`, "padded": as
            `longer_rows`, "norm" and "norm of images": as `batch_norm`, "any": [a flag of rank 1, a flag of none],
            "plateau": state of a `Plateau`, "nan": message of the error}
    """

    folder: Path
    table: Table
    results: list[dict[str, Any]]


def compute(folder: Path) -> TwoRanks:
    """Start the two processes and wait for them."""
    table = make_table(folder / "table", items=27)  # uneven shares of the validation split
    make_table(folder / "ragged", items=27, ragged=True)  # two ranks hold different numbers of captions
    make_query_table(folder / "query")
    mp.start_processes(_work, (str(folder), str(table.path)), nprocs=2, start_method="forkserver")  # type: ignore[no-untyped-call]
    return TwoRanks(folder, table, [torch.load(folder / f"rank{r}.pt", weights_only=True) for r in range(2)])


def one_step(config: RunConfig, epoch: float, parts: int = 1) -> dict[str, Any]:
    """Losses, gradients and batch norm statistics of the first batch, and the scores of validation.

    One of several ranks adds "sent", {what: calls and bytes of its messages}, and "shapes" of its batch.

    Args:
        parts: that each rank embeds its share of the batch in.
    """
    splits = open_tables(config)
    feed = open_feed(config, splits["train"].table)
    torch.manual_seed(0)
    model = build_method(config, feed).train()
    synchronise_batch_norm(model)
    parallel = trainable(model, parts, CPU)
    batches = open_batches(config, splits["train"], feed, model.noise_shape)
    batch = next(batches.epoch(0))
    with counted() as traffic:
        if isinstance(parallel, DistributedDataParallel):
            count_gradients(traffic, parallel)
        losses = parallel(training_input(batch, parts, CPU), StepContext(epoch, 5, gather))
        losses["loss"].backward()
        any_rank(False)
    step: dict[str, Any] = {f"loss/{name}": value.detach() for name, value in losses.items()}
    step |= {f"gradient/{name}": p.grad.clone() for name, p in model.named_parameters() if p.grad is not None}
    step |= {f"buffer/{name}": b.clone() for name, b in model.named_buffers()}
    step["scores"] = score(model, *embed_split(model, splits["val"], feed, CPU))
    if traffic.sent:
        step["sent"] = {what: tuple(sent) for what, sent in traffic.sent.items()}
        step["shapes"] = {name: tuple(rows.shape) for name, rows in batch.items()}
    return step


def table_for(name: str, table: Table) -> Table:
    """The table that the name asks for: of composed queries, or whose images have different numbers of captions."""
    kind = name.partition("-")[0 if name.startswith("query") else 2]
    return Table(table.path.parent / kind) if kind in ("query", "ragged") else table


def longer_rows(number: int) -> list[torch.Tensor]:
    """Rows gathered from ranks whose local features differ in number, and this rank's gradient of their squares."""
    mine = torch.full((1 + number, 3 - number, 2), 1.0 + number, requires_grad=True)
    everywhere = gather(mine)
    everywhere.square().sum().backward()
    assert mine.grad is not None
    return [everywhere.detach(), mine.grad]


def rows_of_both_ranks(*places: int) -> list[torch.Tensor]:
    """(2, D) rows of rank 0 and (5, D) rows of rank 1; or (2, D, H, W) and (5, D, H, W) images."""
    rows = torch.randn(7, 3, *places, generator=torch.Generator().manual_seed(0))
    return [rows[:2], rows[2:]]


def batch_norm(rows: torch.Tensor) -> list[torch.Tensor]:
    """Rows normalised in training, the gradient of their weighted sum, and the running mean and variance."""
    norm = torch.nn.Sequential(torch.nn.BatchNorm1d(3) if rows.ndim == 2 else torch.nn.BatchNorm2d(3))
    synchronise_batch_norm(norm)
    rows = rows.clone().requires_grad_()
    normal = norm(rows)
    (normal * rows.detach().cumsum(1)).sum().backward()  # weights of each row's own: a plain sum has no gradient
    assert rows.grad is not None
    buffers = dict(norm.named_buffers())
    return [normal.detach(), rows.grad, buffers["0.running_mean"], buffers["0.running_var"]]


def _work(number: int, folder: str, table: str) -> None:
    """What each of two processes does; each writes its results."""
    torch.set_num_threads(1)
    dist.init_process_group("gloo", init_method=f"file://{folder}/rendezvous", rank=number, world_size=2)
    opened = Table(table)
    results: dict[str, Any] = {}
    for name, changes in METHODS.items():
        for epoch in epochs_of(name):
            results[f"{name} {epoch}"] = one_step(tiny(table_for(name, opened), Path(folder), **changes), epoch)
    for name in IN_PARTS:
        made = tiny(table_for(name, opened), Path(folder), **METHODS[name])
        results[f"{name} in parts"] = one_step(made, 2.0, parts=2)
    results["padded"] = longer_rows(number)
    results["norm"] = batch_norm(rows_of_both_ranks()[number])
    results["norm of images"] = batch_norm(rows_of_both_ranks(4, 5)[number])
    results["any"] = [any_rank(number == 1), any_rank(False)]

    plateau = Plateau(4.0, 0)
    for value in (2.0, 1.0, 1.5):  # rank 0 alone validates
        plateau.count(value if number == 0 else None, CPU)
    results["plateau"] = plateau.state()

    # a whole run, and one with a NaN that rank 1 alone reads
    config = tiny(opened, Path(folder), name="two")
    fit(config, open_tables(config))
    bad = tiny(opened, Path(folder), name="nan")
    try:
        fit(bad, open_tables(bad), report=_poison_rank_1)
    except NonFiniteError as error:
        results["nan"] = str(error)
    torch.save(results, f"{folder}/rank{number}.pt")
    dist.destroy_process_group()


def _poison_rank_1(metrics: dict[str, float], path: Path | None) -> None:
    """After the first epoch rank 1 alone reads NaN for features."""
    if rank() == 1:
        from raytrain.data.load import readers

        read = readers.Regions.read

        def poisoned(self: Any, *arguments: Any) -> Any:
            batch = read(self, *arguments)
            batch["regions"][0, 0, 0] = torch.nan
            return batch

        readers.Regions.read = poisoned  # type: ignore[method-assign]
