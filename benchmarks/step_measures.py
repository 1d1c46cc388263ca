"""The measurements of benchmarks/step.py: our step in its phases, its bare products, the plain step, COCO 5K."""

from __future__ import annotations

import statistics
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode

from benchmarks.evaluation import Vectors, in_turns
from benchmarks.gpu_measures import made_up_step
from benchmarks.plain_steps import PLAIN, PlainModel, RawBatch
from benchmarks.step import PHASES
from raytrain.config import RunConfig, override
from raytrain.distributed import gather
from raytrain.methods.base import Batch, StepContext
from raytrain.recipes.load import load_recipe
from raytrain.scoring.feed import open_feed
from raytrain.training.build import open_batches
from raytrain.training.fit import train_step
from raytrain.training.input_sizes import Sizes
from raytrain.training.run import open_tables
from raytrain.training.train_state import TrainState
from tests.tables import make_query_table, make_table

BUTD = Sizes(regions=36, region_features=2048, tokens=20, words=11_353)
CLIP = Sizes(regions=1, region_features=768, tokens=20, token_features=512)
TINY = {"regions": 4, "region_features": 8, "tokens": 6, "token_features": 8, "words": 30, "captions": 2}


@dataclass(frozen=True)
class Case:
    """A recipe at its paper's size.

    Args:
        recipe: of COCO or FashionIQ.
        changes: of it; batch sizes are in images where a batch holds images with all their captions.
        sizes: of its data.
    """

    recipe: str
    changes: dict[str, Any]
    sizes: Sizes


CASES = {
    "VSE-infinity": Case("vse_infinity_coco", {"optim.batch_size": 128}, BUTD),
    "DVSE": Case("dvse_coco", {"optim.batch_size": 128, "method.views": 4}, BUTD),
    "DivE": Case("dive_coco", {"optim.batch_size": 64}, BUTD),
    "RAU": Case("rau_fashion_iq", {}, CLIP),
    "Combiner": Case("combiner_fashion_iq", {}, CLIP),
    "PCME++": Case("pcmepp_coco", {"optim.batch_size": 128}, BUTD),
}
PRODUCTS = {"mm", "addmm", "addmm_", "bmm", "baddbmm", "baddbmm_", "mv", "addmv", "convolution", "convolution_backward"}
TOLERANCE = 1e-5
Scale = Literal["paper", "small", "tiny"]
"""Sizes of the paper, an eighth of its batch, or a few numbers of everything."""


def measure(name: str, rounds: int, scale: Scale, folder: Path, compiled: bool = False) -> dict[str, float]:
    """The numbers of a method: seconds but for those with a "/" in their name, and the loss "difference".

    Args:
        name: of a case.
        rounds: turns.
        scale: of its sizes.
        folder: for a made-up table.
        compiled: also take our step under `optim.compile`.

    Raises:
        SystemExit: the plain step has another loss.
    """
    config, sizes = set_up(CASES[name], scale, folder)
    state, batch = made_up_step(config, sizes, torch.device("cpu"))
    # around zero: embeddings of numbers in [0, 1) would be nearly equal, and every loss that of equal scores
    batch |= {name: 2 * batch[name] - 1 for name in ("regions", "reference") if name in batch}
    raw = raw_batch(batch, config, sizes)
    batch |= padded_batch(batch, raw)
    plain = PLAIN[name](config, sizes)
    difference = loss_difference(state, batch, plain, raw)
    if not difference <= TOLERANCE:
        raise SystemExit(f"{name}: the loss of the plain step differs by {difference:.1e}; at most {TOLERANCE:g}")
    clock = PhaseClock(state)
    with ProductRecorder() as recorder:
        clock.step(batch)
    products, optimizer = recorder.replay(), plain_optimizer(plain, config)
    feed = fed_batches(config, sizes, folder / name)
    next(feed)

    take_compiled = compiled_step(config, sizes, batch) if compiled else None

    phases: dict[str, list[float]] = {phase: [] for phase in PHASES}
    seconds: dict[str, list[float]] = {"step": [], "products": [], "plain": []}
    products()
    for _ in range(rounds):
        phases["feeding"].append(seconds_of(lambda: next(feed)))
        seconds["step"].append(seconds_of(lambda: clock.step(batch)))
        for phase, passed in clock.seconds.items():
            phases[phase].append(passed)
        seconds["products"].append(seconds_of(products))
        if take_compiled is not None:
            seconds.setdefault("compiled", []).append(seconds_of(take_compiled))
        seconds["plain"].append(seconds_of(lambda: plain_step(plain, optimizer, raw, config)))
    medians = {key: statistics.median(values) for key, values in (seconds | phases).items()}
    return {
        **medians,
        "step / products": median_ratio(seconds["step"], seconds["products"]),
        "plain / step": median_ratio(seconds["plain"], seconds["step"]),
        **({"step / compiled": median_ratio(seconds["step"], seconds["compiled"])} if compiled else {}),
        "difference": difference,
    }


def compiled_step(config: RunConfig, sizes: Sizes, batch: Batch) -> Callable[[], None]:
    """Our step under `optim.compile`; compiled when this returns."""
    state, _ = made_up_step(override(config, {"optim.compile": True}), sizes, torch.device("cpu"))

    def step() -> None:
        train_step(state, batch, last_epoch(state.config))

    step()
    return step


def small() -> dict[str, float]:
    """Of an eighth of the papers' batches: the plain step over ours, and the bare products over ours."""
    ratios = {}
    with tempfile.TemporaryDirectory(prefix="step") as folder:
        for name in ("DVSE", "DivE"):
            numbers = measure(name, 3, "small", Path(folder))
            ratios[f"step of {name}, of the plain step"] = numbers["plain / step"]
            ratios[f"step of {name}, of its products"] = 1 / numbers["step / products"]
    return ratios


def evaluation(rounds: int, tiny: bool) -> dict[str, float]:
    """The numbers of COCO 5K, by single vectors."""
    texts, items, dim = (500, 100, 16) if tiny else (25_000, 5_000, 1024)
    turns = in_turns(Vectors(), texts, items, (dim,), rounds)
    return {
        "step": statistics.median(turns.seconds),
        "products": statistics.median(turns.bare),
        "step / products": statistics.median(turns.ratios()),
    }


def set_up(case: Case, scale: Scale, folder: Path) -> tuple[RunConfig, Sizes]:
    """The case's config, in fp32, and the sizes of its data."""
    settings = {**case.changes, "optim.precision": "fp32", "data.table": str(folder / "none")}
    sizes = case.sizes
    if scale == "small":
        settings["optim.batch_size"] = max(8, override(load_recipe(case.recipe), settings).optim.batch_size // 8)
    if scale == "tiny":
        regions = min(sizes.regions, TINY["regions"])
        sizes = Sizes(**{**TINY, "regions": regions})
        settings |= {"optim.batch_size": 8, "encoder.dim": 8, "encoder.gpo_dim": 4}
        if case.recipe.startswith("dive"):
            settings["method.head_dim"] = 4
    return override(load_recipe(case.recipe), settings), sizes


def raw_batch(batch: Batch, config: RunConfig, sizes: Sizes) -> RawBatch:
    """The samples of a batch that nothing is masked in, and what of them is dropped, drawn once."""
    draw = torch.Generator().manual_seed(0)
    regions, texts = batch["regions"], batch["text"]
    kept = torch.rand(regions.shape[:2], generator=draw) >= config.data.region_drop
    kept[:, 0] = kept[0] = True  # one image and one caption stay whole: all are padded to their length
    lengths = torch.randint(sizes.tokens // 2, sizes.tokens + 1, (len(texts),), generator=draw)
    lengths[0] = sizes.tokens
    split = {name: list(batch[name]) if name in batch else [] for name in ("reference", "noise")}
    return RawBatch(list(regions), list(kept), list(texts), lengths.tolist(), split["reference"], split["noise"])


def padded_batch(batch: Batch, raw: RawBatch) -> Batch:
    """What our readers make of those samples: regions that are dropped stay where they are, and are masked."""
    kept = torch.stack(raw.kept)
    words = torch.arange(batch["text"].shape[1]) < torch.tensor(raw.lengths)[:, None]
    text = batch["text"] * words.view(*words.shape, *[1] * (batch["text"].ndim - 2)).to(batch["text"].dtype)
    return {"region_mask": kept, "text": text, "text_mask": words}


def loss_difference(state: TrainState, batch: Batch, plain: PlainModel, raw: RawBatch) -> float:
    """Relative difference of both losses without dropout, by the same weights, which the plain model keeps."""
    plain.load_state_dict(state.model.state_dict())
    dropouts = [
        (layer, layer.p) for model in (state.model, plain) for layer in model.modules() if isinstance(layer, nn.Dropout)
    ]
    for layer, _ in dropouts:
        layer.p = 0.0
    with torch.no_grad():
        ours, theirs = float(state.model(batch, last_epoch(state.config))["loss"]), float(plain(raw))
    for layer, rate in dropouts:
        layer.p = rate
    plain.load_state_dict(state.model.state_dict())  # both moved their batch norms
    return abs(ours - theirs) / max(abs(theirs), 1.0)


def last_epoch(config: RunConfig, exchange: Callable[[Tensor], Tensor] = gather) -> StepContext:
    """Where every warm-up is over."""
    return StepContext(config.optim.num_epochs - 1, config.optim.num_epochs, exchange)


class PhaseClock:
    """Takes our step and notes the seconds of its phases.

    Attributes:
        seconds: {phase: of the newest step}, without feeding.
    """

    def __init__(self, state: TrainState) -> None:
        self.state, self.seconds = state, dict.fromkeys(PHASES[1:], 0.0)
        self.now, forward, unscale = 0.0, state.parallel, state.scaler.unscale_

        def marked_forward(*given: Any) -> dict[str, Tensor]:
            losses: dict[str, Tensor] = forward(*given)
            self.mark("similarity and losses")
            return losses

        def marked_unscale(optimizer: torch.optim.Optimizer) -> None:  # right behind the backward pass
            self.mark("backward")
            unscale(optimizer)

        state.parallel = marked_forward  # type: ignore[assignment]
        state.scaler.unscale_ = marked_unscale  # type: ignore[method-assign]

    def step(self, batch: Batch) -> None:
        self.seconds = dict.fromkeys(PHASES[1:], 0.0)
        self.now = time.perf_counter()
        train_step(self.state, batch, last_epoch(self.state.config, self.exchange))
        self.mark("optimizer")

    def exchange(self, rows: Tensor) -> Tensor:
        """`gather`; what ran since the last one was forward."""
        self.mark("forward")
        everywhere = gather(rows)
        self.mark("gather")
        return everywhere

    def mark(self, phase: str) -> None:
        """The time since the last mark was that of this phase."""
        now = time.perf_counter()
        self.seconds[phase] += now - self.now
        self.now = now


class ProductRecorder(TorchDispatchMode):
    """Records the matrix products and convolutions that run inside."""

    def __init__(self) -> None:
        super().__init__()
        self.calls: list[tuple[Any, list[Any], dict[str, Any]]] = []

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if func.overloadpacket.__name__ in PRODUCTS:
            more = {name: value for name, value in (kwargs or {}).items() if name != "out"}
            self.calls.append((func, [_layout(value) for value in args], more))
        return func(*args, **(kwargs or {}))

    def replay(self) -> Callable[[], None]:
        """All of them again, in order, on random numbers; operands of one layout share their memory."""
        memory: dict[Any, Tensor] = {}

        def operand(layout: Any, role: int) -> Any:
            if not isinstance(layout, _Layout):
                return layout
            if (layout, role) not in memory:
                rows = torch.empty_strided(layout.shape, layout.stride)
                memory[layout, role] = rows.normal_() if layout.overlaps else rows.copy_(torch.randn(layout.shape))
            return memory[layout, role]

        calls: list[Callable[[], object]] = []
        for func, layouts, more in self.calls:
            kind = func.overloadpacket.__name__
            given = [operand(layout, role) for role, layout in enumerate(layouts)]
            if kind.startswith("convolution"):
                calls.append(lambda f=func.overloadpacket.default, g=given, m=more: f(*g, **m))
                continue
            left, right = given[-2:] if kind in ("mm", "bmm", "mv") else given[1:3]  # the others add to the first
            if ("out", tuple(shape := [*left.shape[:-1], *right.shape[left.ndim - 1 :]])) not in memory:
                memory["out", tuple(shape)] = torch.empty(shape)
            calls.append(lambda a=left, b=right, out=memory["out", tuple(shape)]: torch.matmul(a, b, out=out))

        def run() -> None:
            with torch.no_grad():
                for call in calls:
                    call()

        return run


@dataclass(frozen=True)
class _Layout:
    """Shape and stride of an operand; whether its elements share memory."""

    shape: tuple[int, ...]
    stride: tuple[int, ...]

    @property
    def overlaps(self) -> bool:
        return 0 in self.stride


def _layout(value: Any) -> Any:
    return _Layout(tuple(value.shape), value.stride()) if isinstance(value, Tensor) else value


def plain_optimizer(plain: PlainModel, config: RunConfig) -> torch.optim.Optimizer:
    return torch.optim.AdamW(plain.parameters(), lr=config.optim.lr, weight_decay=config.optim.weight_decay)


def plain_step(plain: PlainModel, optimizer: torch.optim.Optimizer, raw: RawBatch, config: RunConfig) -> None:
    """Feeding, forward, backward, clipping and update, in the plain way."""
    loss = plain(raw)
    optimizer.zero_grad()
    loss.backward()
    if config.optim.clip_norm:
        nn.utils.clip_grad_norm_(plain.parameters(), config.optim.clip_norm)
    optimizer.step()
    float(loss.detach())  # for the log


def fed_batches(config: RunConfig, sizes: Sizes, folder: Path) -> Iterator[Batch]:
    """Batches of a made-up table of the case's sizes, read in this thread when they are asked for."""
    batch_size, features = config.optim.batch_size, sizes.region_features
    if config.batch_by == "query":
        bases = -(-batch_size // 12)  # things of a split, with twelve queries each
        table = make_query_table(folder, bases, features, sizes.token_features)
    else:
        table = make_table(folder, 2 * batch_size, 5, sizes.regions, features, 8)
    changes = {"data.table": str(folder), "data.image_features": "lite0", "data.min_word_count": 1}
    if config.data.text_features:
        changes["data.text_features"] = "minilm"
    own = override(config, changes)
    train = open_tables(own)["train"]
    batches = open_batches(own, train, open_feed(own, table), ())
    epoch = 0
    while True:
        yield from batches.epoch(epoch, 0, 0)
        epoch += 1


def seconds_of(work: Callable[[], object]) -> float:
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


def median_ratio(numerators: Sequence[float], denominators: Sequence[float]) -> float:
    return statistics.median(a / b for a, b in zip(numerators, denominators, strict=True))
