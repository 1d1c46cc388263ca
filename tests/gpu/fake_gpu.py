"""A GPU for machines that have none: tensors on a device of its own compute on the CPU, and every wait is recorded.

    with FakeGPU() as gpu:
        model.to(gpu.device)
        model(to_device(batch, gpu.device), context)["loss"].backward()
    print(gpu.waits)

A wait is an operation in which the host of a real GPU would stand still until the device has done all of its work: it
reads a number, copies to the CPU, needs the size of a result that depends on values, or uploads from memory that is
not pinned. An operation on tensors of both devices raises `DeviceMismatch`, which names the line, as CUDA would.

It is torch's PrivateUse1 device, under the name "fakegpu": a tensor of it wraps a tensor on the CPU that has the
values. On a real GPU `torch.cuda.set_sync_debug_mode("error")` takes the place of the record.
"""

from __future__ import annotations

import functools
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import Any

import torch
from torch import Tensor
from torch.utils import backend_registration
from torch.utils._python_dispatch import TorchDispatchMode

NAME = "fakegpu"
ROOT = str(Path(__file__).resolve().parent.parent.parent) + "/"
CPU = torch.device("cpu")

READS = {"_local_scalar_dense", "equal", "is_nonzero", "_linalg_check_errors"}
SIZED_BY_VALUES = {
    "nonzero", "masked_select", "_unique2", "unique_dim", "unique_consecutive", "bincount", "histc",
}  # fmt: skip
INDEXING = {
    "index", "index_put", "index_put_", "_index_put_impl_", "_unsafe_index", "_unsafe_index_put",
}  # fmt: skip


class DeviceMismatch(RuntimeError):
    """An operation had tensors of the CPU and of the GPU, as no kernel takes them."""


@dataclass(frozen=True)
class Wait:
    """One wait of the host for the device.

    Args:
        kind: "read", "copy to the host", "size by values" or "upload".
        operation: of aten, without its overload.
        place: innermost file and line of this project, or "backward" where autograd called it.
    """

    kind: str
    operation: str
    place: str


def available() -> bool:
    """Whether this torch lets Python stand in for a device."""
    return hasattr(backend_registration, "_setup_privateuseone_for_python_backend")


class _Module(backend_registration._DummyBackendModule if available() else object):  # type: ignore[misc]
    """What torch looks for under `torch.fakegpu`."""

    def get_amp_supported_dtype(self) -> list[torch.dtype]:
        return [torch.float16, torch.bfloat16]

    @contextmanager
    def device(self, index: int) -> Iterator[None]:
        yield

    def get_rng_state(self, device: object = None) -> Tensor:
        return torch.get_rng_state()

    def set_rng_state(self, state: Tensor, device: object = None) -> None:
        torch.set_rng_state(state)


@functools.cache
def register() -> torch.device:
    """The device, known to torch from then on.

    Autograd makes its threads, one per device, at the first backward pass of a process: registered later, a tensor of
    this device cannot be differentiated.
    """
    backend_registration._setup_privateuseone_for_python_backend(NAME, backend_module=_Module())
    return torch.device(NAME, 0)


class _OnDevice(torch.Tensor):
    """A tensor of the fake device; `values` is the one on the CPU."""

    values: Tensor

    @staticmethod
    def __new__(cls, values: Tensor) -> _OnDevice:
        wrapper = torch.Tensor._make_wrapper_subclass(  # type: ignore[attr-defined]
            cls, values.shape, strides=values.stride(), storage_offset=values.storage_offset(), dtype=values.dtype,
            device=register(),
        )  # fmt: skip
        wrapper.values = values
        return wrapper  # type: ignore[no-any-return]

    def __repr__(self) -> str:  # type: ignore[override]
        return f"{self.values!r} on {NAME}"

    def tolist(self) -> Any:
        """Not an operation of aten, and torch refuses it of other classes."""
        assert FakeGPU.active is not None
        FakeGPU.active.wait("copy to the host", "tolist")
        return self.values.tolist()

    @classmethod
    def __torch_dispatch__(cls, operation: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if FakeGPU.active is None:
            raise RuntimeError("a tensor of the fake GPU is used outside of `with FakeGPU()`")
        return FakeGPU.active.run(operation, args, kwargs or {})


def _uploading(make: Callable[..., Tensor]) -> Callable[..., Tensor]:
    """torch.tensor or torch.as_tensor, which torch keeps out of a dispatch mode's sight: on the CPU, then uploaded."""

    def made(*args: Any, **kwargs: Any) -> Tensor:
        device = kwargs.get("device")
        if device is None or torch.device(device).type != NAME:
            return make(*args, **kwargs)
        return make(*args, **{**kwargs, "device": CPU}).to(device)

    return made


class FakeGPU(TorchDispatchMode):
    """The device, while it is entered.

    Attributes:
        device: where `.to` and `device=` place tensors.
        waits: in their order.
    """

    active: FakeGPU | None = None

    def __init__(self) -> None:
        super().__init__()
        self.device = register()
        self.waits: list[Wait] = []
        self._pinned: set[int] = set()

    def __enter__(self) -> FakeGPU:
        FakeGPU.active = self
        self._constructors = torch.tensor, torch.as_tensor
        torch.tensor, torch.as_tensor = (_uploading(make) for make in self._constructors)
        super().__enter__()
        return self

    def __exit__(self, *error: Any) -> None:
        super().__exit__(*error)
        torch.tensor, torch.as_tensor = self._constructors
        FakeGPU.active = None

    def __torch_dispatch__(self, operation: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        return self.run(operation, args, kwargs or {})

    def run(self, operation: Any, args: Sequence[Any], kwargs: Mapping[str, Any]) -> Any:
        """The operation on the CPU's values; its results are on the fake device where they would be on a GPU."""
        name = operation._schema.name.removeprefix("aten::")
        tensors = [leaf for leaf in _leaves([args, kwargs]) if isinstance(leaf, Tensor)]
        here = [tensor for tensor in tensors if isinstance(tensor, _OnDevice)]
        wanted = torch.device(kwargs["device"]) if kwargs.get("device") is not None else None
        if name == "_pin_memory":
            return self._pin(args[0])
        if name == "is_pinned":
            return args[0].data_ptr() in self._pinned
        if name in ("_to_copy", "copy_"):
            return self._copy(name, operation, args, dict(kwargs), wanted)
        self._refuse_mixture(name, args, tensors, here)
        self._record(name, args, kwargs, here)
        plain = {key: _value(value) for key, value in kwargs.items()}
        to_device = bool(here) or (wanted is not None and wanted.type == NAME)
        if wanted is not None and wanted.type == NAME:
            plain["device"] = CPU
        if name == "_pack_padded_sequence":
            packed, batch_sizes = operation(*_value(args), **plain)
            return _OnDevice(packed) if here else packed, batch_sizes
        compute = _WITHOUT_CPU_KERNEL.get(name, operation)
        results = compute(*_value(args), **plain)
        if name == "_local_scalar_dense" or not to_device:
            return results
        wrappers = {id(tensor.values): tensor for tensor in here}  # what an operation changes in place stays itself

        def wrapped(result: Any) -> Any:
            if not isinstance(result, Tensor):
                return result
            return wrappers[id(result)] if id(result) in wrappers else _OnDevice(result)

        return _map(wrapped, results)

    def _pin(self, tensor: Tensor) -> Tensor:
        copy = tensor.clone()
        self._pinned.add(copy.data_ptr())
        return copy

    def _copy(self, name: str, operation: Any, args: Any, kwargs: dict[str, Any], wanted: torch.device | None) -> Any:
        """`_to_copy` to another device or type, and `copy_` between any two tensors."""
        if name == "copy_":
            target, source = args[0], args[1]
            asynchronous = bool(args[2] if len(args) > 2 else kwargs.get("non_blocking", False))
        else:
            target, source, asynchronous = None, args[0], bool(kwargs.get("non_blocking", False))
        from_device = isinstance(source, _OnDevice)
        if target is None:
            on_device = wanted.type == NAME if wanted is not None else from_device
        else:
            on_device = isinstance(target, _OnDevice)
        if from_device and not on_device:
            pinned = target is not None and target.data_ptr() in self._pinned
            if not (asynchronous and pinned):
                self.wait("copy to the host", name)
        # a single number that a kernel or a fill takes by value is no upload
        uploaded = on_device and not from_device and not (target is not None and source.ndim == 0)
        if uploaded and not (asynchronous and source.data_ptr() in self._pinned):
            self.wait("upload", name)
        if target is not None:
            _value(target).copy_(_value(source))
            return target
        plain = {key: value for key, value in kwargs.items() if key not in ("device", "non_blocking", "pin_memory")}
        result = operation(_value(source), **plain)
        if result.data_ptr() == _value(source).data_ptr() and result.numel():
            result = result.clone()
        return _OnDevice(result) if on_device else result

    def _refuse_mixture(self, name: str, args: Any, tensors: list[Tensor], here: list[_OnDevice]) -> None:
        elsewhere = [tensor for tensor in tensors if not isinstance(tensor, _OnDevice) and tensor.ndim > 0]
        if not here or not elsewhere or name == "_pack_padded_sequence":
            return
        if name in INDEXING and isinstance(args[0], _OnDevice):
            self.wait("upload", name)  # of indices from the CPU
            return
        # the counters of an optimizer's steps stay on the CPU
        if name.startswith("_foreach") or name.startswith("_fused"):
            return
        raise DeviceMismatch(f"{name} has tensors of the CPU and of the GPU at {place()}")

    def _record(self, name: str, args: Any, kwargs: Mapping[str, Any], here: list[_OnDevice]) -> None:
        if not here:
            return
        counted = name == "repeat_interleave" and kwargs.get("output_size") is None and isinstance(args[0], _OnDevice)
        masked = name in INDEXING and any(
            index is not None and index.dtype in (torch.bool, torch.uint8) for index in args[1]
        )
        if name in READS:
            self.wait("read", name)
        elif name in SIZED_BY_VALUES or counted or masked:
            self.wait("size by values", name)

    def wait(self, kind: str, operation: str) -> None:
        self.waits.append(Wait(kind, operation, place()))


def place() -> str:
    """Innermost file and line of this project that is running, tests included."""
    frame: FrameType | None = sys._getframe(1)
    while frame is not None:
        path = frame.f_code.co_filename
        if path.startswith(ROOT) and path != __file__ and "site-packages" not in path:
            return f"{path.removeprefix(ROOT)}:{frame.f_lineno}"
        frame = frame.f_back
    return "backward"


def _leaves(tree: Any) -> list[Any]:
    """What lists, tuples and dicts hold, at any depth; torch's own way takes several times as long."""
    if isinstance(tree, (list, tuple)):
        return [leaf for part in tree for leaf in _leaves(part)]
    return _leaves(list(tree.values())) if isinstance(tree, dict) else [tree]


def _map(change: Callable[[Any], Any], tree: Any) -> Any:
    """The tree with every leaf changed."""
    if isinstance(tree, (list, tuple)):
        parts = [_map(change, part) for part in tree]
        return tuple(parts) if isinstance(tree, tuple) else parts
    return {key: _map(change, part) for key, part in tree.items()} if isinstance(tree, dict) else change(tree)


def _value(tree: Any) -> Any:
    """Tensors of the fake device -> the CPU's."""
    return _map(lambda leaf: leaf.values if isinstance(leaf, _OnDevice) else leaf, tree)


def _gru_cell(
    inputs: Tensor, hidden: Tensor, state: Tensor, input_bias: Tensor | None = None, hidden_bias: Tensor | None = None
) -> tuple[Tensor, Tensor]:
    """A cell, one kernel on a GPU: (B, 3H) gates of input and of state, (B, H) state -> new state and workspace."""
    if input_bias is not None and hidden_bias is not None:
        inputs, hidden = inputs + input_bias, hidden + hidden_bias
    (from_reset, from_update, from_new), (reset, update, new) = inputs.chunk(3, 1), hidden.chunk(3, 1)
    r, z = torch.sigmoid(from_reset + reset), torch.sigmoid(from_update + update)
    n = torch.tanh(from_new + r * new)
    return n + z * (state - n), torch.cat([r, z, n, state, new], 1)


def _gru_cell_backward(slope: Tensor, workspace: Tensor, has_bias: bool) -> tuple[Tensor | None, ...]:
    r, z, n, state, new = workspace.chunk(5, 1)
    before_new = slope * (1 - z) * (1 - n * n)
    before_update = slope * (state - n) * z * (1 - z)
    before_reset = before_new * new * r * (1 - r)
    inputs = torch.cat([before_reset, before_update, before_new], 1)
    hidden = torch.cat([before_reset, before_update, before_new * r], 1)
    biases = (inputs.sum(0), hidden.sum(0)) if has_bias else (None, None)
    return inputs, hidden, slope * z, *biases


_WITHOUT_CPU_KERNEL = {"_thnn_fused_gru_cell": _gru_cell, "_thnn_fused_gru_cell_backward": _gru_cell_backward}
