"""Layers over the real members of padded sets, and what the host knows of their mask.

Nothing is computed for padding, and padding is zero afterwards. Which members are real decides the sizes of what is
computed, and a host that asks a GPU for them waits until it has done all of its work. Masks are made on the host: what
moves one to a device tells `know`, and `members` then answers without asking the device.

Letters: B batch, T members of a set (regions or tokens), S real members of all sets, F and D dimensions.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property

import torch
from torch import Tensor
from torch.nn.utils.rnn import PackedSequence, pack_padded_sequence
from torch.utils.weak import WeakTensorKeyDictionary

from raytrain.similarity import real_rows
from raytrain.similarity.upload import upload

CPU = torch.device("cpu")


class Members:
    """What is known on the host of a (B, T) bool mask, and the indices on its device that follow from it.

    Args:
        real: the mask, on the CPU.
        device: of the tensors that are masked.
    """

    def __init__(self, real: Tensor, device: torch.device) -> None:
        self.real, self.device = real, device

    @cached_property
    def lengths(self) -> Tensor:
        """(B,) number of real members, on the CPU."""
        return self.real.sum(1)

    @cached_property
    def ends(self) -> Tensor:
        """(B,) number of members up to the last real one, on the CPU; 1 where none is real."""
        places = torch.arange(1, self.real.shape[1] + 1)
        return (self.real * places).amax(1).clamp(min=1)

    @cached_property
    def all_real(self) -> bool:
        """Whether nothing is padding."""
        return bool(self.real.all())

    @cached_property
    def places(self) -> Tensor:
        """(S,) positions of the real members among all B T."""
        return upload(self.real.flatten().nonzero()[:, 0], self.device)

    @cached_property
    def packing(self) -> PackedSequence:
        """As `pack_padded_sequence` packs sets whose real members come first: its data are positions among all B T."""
        positions = torch.arange(self.real.numel()).view(self.real.shape)
        packed = pack_padded_sequence(positions, self.lengths, batch_first=True, enforce_sorted=False)
        assert packed.sorted_indices is not None and packed.unsorted_indices is not None
        data, order, back = (
            upload(part, self.device) for part in (packed.data, packed.sorted_indices, packed.unsorted_indices)
        )
        return PackedSequence(data, packed.batch_sizes, order, back)

    @cached_property
    def distinct_lengths(self) -> tuple[Tensor, Tensor]:
        """The distinct lengths, on the CPU, and (B,) which of them each set has, on the device."""
        distinct, which = torch.unique(self.lengths, return_inverse=True)
        return distinct, upload(which, self.device)


_MEMBERS: WeakTensorKeyDictionary = WeakTensorKeyDictionary()
_ENDS: WeakTensorKeyDictionary = WeakTensorKeyDictionary()


def know(mask: Tensor, real: Tensor) -> Tensor:
    """The mask, of which `members` now knows what stands in it.

    Args:
        mask: (B, T) bool, on any device. It must not be changed in place any more.
        real: the same, on the CPU.
    """
    if mask.device != CPU:
        _MEMBERS[mask] = Members(real, mask.device)
    return mask


def members(mask: Tensor) -> Members:
    """What the host knows of a (B, T) mask; a GPU is asked, once, for one that `know` was not told of."""
    if mask.device == CPU:
        return Members(mask, CPU)
    if mask not in _MEMBERS:
        know(mask, mask.cpu())
    on_host: Members = _MEMBERS[mask]
    return on_host


def know_ends(local: Tensor, ends: Tensor) -> None:
    """Tells `ends_of` of (N, n, D) local features where their last real rows stand: (N,), on the CPU, from 1 on."""
    if local.device != CPU:
        _ENDS[local] = ends


def ends_of(local: Tensor) -> Tensor:
    """(N, n, D) local features -> (N,) number of rows up to the last real one, on the CPU."""
    if local in _ENDS:
        ends: Tensor = _ENDS[local]
        return ends
    places = torch.arange(1, local.shape[1] + 1, device=local.device)
    return (real_rows(local) * places).amax(1).cpu()


def map_real_rows(layer: Callable[[Tensor], Tensor], rows: Tensor, mask: Tensor) -> Tensor:
    """(B, T, F) and (B, T) bool mask -> (B, T, ...): the layer's output where the mask is True, zeros elsewhere.

    Args:
        layer: (S, F) rows -> (S, ...), row by row in evaluation mode.
    """
    if being_traced():  # a graph whose shapes do not depend on the mask
        everywhere = layer(rows.flatten(0, 1))
        padding = ~mask.flatten().view(-1, *[1] * (everywhere.ndim - 1))
        return everywhere.masked_fill(padding, 0.0).view(*mask.shape, *everywhere.shape[1:])
    return spread(layer(real_members(rows, mask)), mask)


def real_members(rows: Tensor, mask: Tensor) -> Tensor:
    """(B, T, ...) and (B, T) bool mask -> (S, ...) the real members, set by set."""
    of_mask, flat = members(mask), rows.flatten(0, 1)
    return flat if of_mask.all_real else flat.index_select(0, of_mask.places)


def spread(real: Tensor, mask: Tensor, fill: float = 0.0) -> Tensor:
    """(S, ...) real members, set by set, and (B, T) bool mask -> (B, T, ...), with `fill` at padding."""
    of_mask = members(mask)
    if of_mask.all_real:
        return real.view(*mask.shape, *real.shape[1:])
    everywhere = real.new_full((mask.numel(), *real.shape[1:]), fill)
    return everywhere.index_copy(0, of_mask.places, real).view(*mask.shape, *real.shape[1:])


def pack(rows: Tensor, mask: Tensor) -> PackedSequence:
    """(B, T, F) and (B, T) bool mask, real members first -> the real ones, packed for a recurrent layer."""
    packing = members(mask).packing
    rows = rows.flatten(0, 1).index_select(0, packing.data)
    return PackedSequence(rows, packing.batch_sizes, packing.sorted_indices, packing.unsorted_indices)


def unpack(states: Tensor, mask: Tensor) -> Tensor:
    """(S, D) states in the order of `pack` -> (B, T, D), zeros at padding."""
    places = members(mask).packing.data
    everywhere = states.new_zeros(mask.numel(), states.shape[-1]).index_copy(0, places, states)
    return everywhere.view(*mask.shape, -1)


def being_traced() -> bool:
    """Whether torch records a graph for export at this moment, by either of its exporters."""
    return bool(torch.jit.is_tracing()) or torch.compiler.is_exporting()  # type: ignore[attr-defined, no-untyped-call]
