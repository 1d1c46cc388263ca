"""DivE's set prediction, and its Transformer ablation: K embeddings from local features and a global one.

Letters: B batch, n local features of an item, F their size, K elements, H heads, D dimensions.
"""

from __future__ import annotations

from typing import Literal, cast

import torch
from torch import Tensor, nn

from raytrain.encoders.dropout import Dropout
from raytrain.encoders.pooling import position_rates
from raytrain.similarity.precision import l2_normalize

Attention = Literal["slots", "transformer"]
MaskMode = Literal["proper", "official"]
PlaceScale = Literal["caption", "padded"]


class SetPrediction(nn.Module):
    """K slots that compete for the local features, each added to the global feature (DivE, CVPR 2023, section 3.2).

    Output: l2_normalize(E + LayerNorm(global)), where E is the slots after `iterations` blocks and a last LayerNorm.

    Args:
        features: F.
        dim: D.
        elements: K.
        iterations: number of refinements of the slots.
        shared: one block applied each time (official code), or one block for each.
        attention: "slots", a softmax over slots, renormalised over inputs; "transformer", a softmax over inputs.
        mask_mode: attention to padded inputs under "slots". "proper": none. "official": the logit of every slot is the
            lowest number, which a softmax over slots turns into 1 / K, so that padding takes part.
        slots: "learned" vectors, or "sampled" from a learned normal distribution: anew for each item in training, the
            same K draws for all items in evaluation.
        positions: add sinusoidal codes of the positions to the keys (words have an order, regions have none).
        place_scale: what positions are scaled by, as in `place_codes`.
        heads, head_dim: the inner width is heads * head_dim, whatever D is (4 * 512 in the official code).
        dropout: of the block's two branches.
    """

    def __init__(
        self,
        features: int,
        dim: int,
        elements: int = 4,
        iterations: int = 4,
        shared: bool = True,
        attention: Attention = "slots",
        mask_mode: MaskMode = "proper",
        slots: Literal["learned", "sampled"] = "learned",
        positions: bool = False,
        place_scale: PlaceScale = "caption",
        heads: int = 4,
        head_dim: int = 512,
        dropout: float = 0.1,
    ) -> None:
        super().__init__()
        self.iterations, self.positions, self.place_scale = iterations, positions, place_scale
        if slots == "learned":
            self.slots = nn.Parameter(torch.randn(1, elements, dim))
        else:
            self.slots = nn.Parameter(torch.randn(1, 1, dim))
            self.log_sigma = nn.Parameter(torch.zeros(1, 1, dim))
            self.register_buffer("fixed_noise", torch.randn(1, elements, dim))
        self.sampled = slots == "sampled"
        self.blocks = nn.ModuleList(
            SlotBlock(features, dim, attention, mask_mode, heads, head_dim, dropout)
            for _ in range(1 if shared else iterations)
        )
        self.norm = nn.LayerNorm(dim)
        self.norm_global = nn.LayerNorm(dim)

    def forward(self, local: Tensor, mask: Tensor, whole: Tensor) -> tuple[Tensor, Tensor]:
        """Embeddings of a batch of items.

        Args:
            local: (B, n, F) local features.
            mask: (B, n) bool, True at real ones, at least one per row.
            whole: (B, D) global feature.

        Returns:
            (B, K, D) elements, L2-normalised, and the (B, K, D) slots E that were added to the global feature.
        """
        residual = self.norm(self._refined(local, mask, self._codes(local, mask), self.iterations))
        return l2_normalize(residual + self.norm_global(whole)[:, None], dim=-1), residual

    def attention(self, local: Tensor, mask: Tensor) -> Tensor:
        """(B, n, F), (B, n) -> (B, K, n) attention of each slot to the inputs in the last refinement, mean over heads.

        A row sums to 1 over the real inputs.
        """
        codes = self._codes(local, mask)
        slots = self._refined(local, mask, codes, self.iterations - 1)
        block = cast(SlotBlock, self.blocks[(self.iterations - 1) % len(self.blocks)])
        return block.attend(slots, block.read(local, codes)[0], mask).mean(1)

    def _codes(self, local: Tensor, mask: Tensor) -> Tensor | None:
        """(B, n, F) codes of the positions; None where inputs have no order."""
        return place_codes(mask, local.shape[-1], self.place_scale).to(local.dtype) if self.positions else None

    def _refined(self, local: Tensor, mask: Tensor, codes: Tensor | None, iterations: int) -> Tensor:
        """(B, K, D) slots after so many blocks."""
        slots = self._start(local.shape[0])
        read: tuple[Tensor, Tensor] | None = None
        for step in range(iterations):
            block = cast(SlotBlock, self.blocks[step % len(self.blocks)])
            if read is None or len(self.blocks) > 1:
                # a shared block reads the same inputs in every iteration: compute its keys and values once
                read = block.read(local, codes)
            slots = block(slots, *read, mask)
        return slots

    def _start(self, items: int) -> Tensor:
        """(B, K, D) slots before the first block."""
        if not self.sampled:
            return self.slots.expand(items, -1, -1)
        fixed: Tensor = self.fixed_noise  # type: ignore[assignment]
        noise = torch.randn_like(fixed.expand(items, -1, -1)) if self.training else fixed.expand(items, -1, -1)
        return self.slots + self.log_sigma.exp() * noise


class SlotBlock(nn.Module):
    """One refinement of the slots: attention to the inputs, then an MLP, each after a LayerNorm and added back.

    Args: as in `SetPrediction`.
    """

    def __init__(
        self,
        features: int,
        dim: int,
        attention: Attention = "slots",
        mask_mode: MaskMode = "proper",
        heads: int = 4,
        head_dim: int = 512,
        dropout: float = 0.1,
    ) -> None:
        super().__init__()
        self.attention, self.mask_mode, self.heads = attention, mask_mode, heads
        inner = heads * head_dim
        self.norm_slots = nn.LayerNorm(dim)
        self.norm_inputs = nn.LayerNorm(features)
        self.query = nn.Linear(dim, inner, bias=False)
        self.key = nn.Linear(features, inner, bias=False)
        self.value = nn.Linear(features, inner, bias=False)
        self.out = nn.Sequential(nn.Linear(inner, dim), Dropout(dropout))
        self.mlp = nn.Sequential(
            nn.LayerNorm(dim), nn.Linear(dim, 4 * dim), nn.GELU(), Dropout(dropout), nn.Linear(4 * dim, dim)
        )

    def read(self, local: Tensor, codes: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """(B, n, F) inputs and (B, n, F) codes of their positions -> keys and values, (B, H, n, inner / H) each.

        In memory they lie head by head: every refinement multiplies them as they are.
        """
        inputs = self.norm_inputs(local)
        keys = self.key(inputs if codes is None else inputs + codes)
        return self._by_head(keys).contiguous(), self._by_head(self.value(inputs)).contiguous()

    def forward(self, slots: Tensor, keys: Tensor, values: Tensor, mask: Tensor) -> Tensor:
        """(B, K, D) slots, keys and values of `read`, (B, n) bool mask -> (B, K, D)."""
        attended = self.attend(slots, keys, mask).to(values.dtype) @ values  # (B, H, K, inner / H)
        slots = slots + self.out(attended.transpose(1, 2).flatten(2))
        return slots + self.mlp(slots)  # type: ignore[no-any-return]

    def attend(self, slots: Tensor, keys: Tensor, mask: Tensor) -> Tensor:
        """(B, K, D) slots, keys of `read`, (B, n) bool mask -> (B, H, K, n) weights of the inputs."""
        queries = self._by_head(self.query(self.norm_slots(slots)))
        return self.weights(queries @ keys.transpose(-2, -1) * keys.shape[-1] ** -0.5, mask)

    def weights(self, logits: Tensor, mask: Tensor) -> Tensor:
        """(B, H, K, n) logits and (B, n) bool mask -> (B, H, K, n) weights, float32 or wider; every row sums to 1."""
        logits, padded = logits.to(torch.promote_types(logits.dtype, torch.float32)), ~mask[:, None, None, :]
        if self.attention == "transformer":
            return logits.masked_fill(padded, -torch.inf).softmax(-1)
        if self.mask_mode == "official":
            shares = logits.masked_fill(padded, torch.finfo(logits.dtype).min).softmax(-2)
        else:
            shares = logits.softmax(-2).masked_fill(padded, 0.0)
        return shares / (shares.sum(-1, keepdim=True) + 1e-7)

    def _by_head(self, rows: Tensor) -> Tensor:
        """(B, m, inner) -> (B, H, m, inner / H)"""
        return rows.view(*rows.shape[:2], self.heads, -1).transpose(1, 2)


def place_codes(mask: Tensor, dim: int, scaled_by: PlaceScale = "caption") -> Tensor:
    """(B, n) bool mask -> (B, n, dim) sinusoidal codes of the positions of words, scaled to (0, 2 pi].

    The code has sines at even indices and cosines at odd ones, base 10000 (the codes of DETR, in one dimension).

    Args:
        mask: True at real words.
        dim: of a code.
        scaled_by: length at which a position's angle is 2 pi: the number of real words of the "caption", or n, the
            length of the "padded" batch (official code).
    """
    if scaled_by == "padded":
        place = torch.ones_like(mask, dtype=torch.int64).cumsum(1) * (2 * torch.pi) / mask.shape[1]
    else:
        place = mask.long().cumsum(1) * (2 * torch.pi) / mask.sum(1, keepdim=True).clamp(min=1)
    angle = place[..., None] * position_rates(dim, mask.device)
    return torch.stack([angle.sin(), angle.cos()], -1).flatten(2)[..., :dim]
