"""NumPy arrays and PyTorch tensors behind one face: what the metrics need of them.

PyTorch is never imported here. Whoever gives a tensor has imported it.
"""

from __future__ import annotations

import contextlib
import sys
from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any, TypeAlias, final

import numpy as np

from taut.errors import InputError

__all__ = ["Array", "Library", "is_tensor", "library_of", "same_shape"]

Array: TypeAlias = Any  # of NumPy or PyTorch; arrays of other libraries and lists are read by NumPy

# Numbers to work on at a time: what a processor's cache holds with the steps between; on a GPU enough that starting a kernel costs little.
_CHUNK = {"numpy": 2**16, "cpu": 2**18, "gpu": 2**24}


def is_tensor(values: object) -> bool:
    torch: Any = sys.modules.get("torch")
    return torch is not None and isinstance(values, torch.Tensor)


def library_of(*values: object) -> Library:
    """PyTorch on the device of the first tensor (or model) among `values`; NumPy if there is none."""
    torch: Any = sys.modules.get("torch")
    for each in values:
        found: Any = each
        if torch is not None and isinstance(each, torch.nn.Module):
            found = next(iter(found.parameters()), None)
        if is_tensor(found):
            return Torch(found.device)
    return NumPy()


class Library(ABC):
    """What NumPy and PyTorch spell differently. What they spell alike is reached through `xp`."""

    xp: Any

    @abstractmethod
    def quiet(self) -> contextlib.AbstractContextManager[Any]:
        """Neither gradients nor warnings of infinities, which are expected and counted."""

    @abstractmethod
    def adopt(self, values: Array) -> Array:
        """`values` as an array of this library on its device; a copy only where it was another's."""

    @abstractmethod
    def integers(self, values: Array, name: str) -> Array:
        """`values` as 64-bit integers. Raises InputError, with `name`, where they are fractions or booleans."""

    @abstractmethod
    def alike(self, values: Array, other: Array) -> Array:
        """`values` in the type of `other`."""

    @abstractmethod
    def rows(self, values: Array, where: Array | None, part: slice) -> Array:
        """Rows of (..., k) values, one for each token, as (n, k): those at the flat positions `where[part]`, or simply `part`.

        Never copies more than these.
        """

    @abstractmethod
    def log_softmax(self, rows: Array, temperature: float = 1.0) -> Array:
        """Of (n, vocabulary) logits over a temperature: new numbers in float32, in float64 if the logits are.

        The maximum is taken off first, so nothing overflows and large logits lose nothing: beside 1e4, a float32 has only steps of 1e-3.
        A row with NaN, with +inf or with nothing but -inf has no softmax and comes out as NaN.
        """

    @abstractmethod
    def pick(self, rows: Array, ids: Array) -> Array:
        """`rows[i, ids[i, j]]` as (n, k)."""

    @abstractmethod
    def put(self, rows: Array, ids: Array, value: float) -> None:
        """`rows[i, ids[i, j]] = value`, in place."""

    @abstractmethod
    def argmax(self, rows: Array) -> Array:
        """Where each row is highest, the first place of several; where it is NaN, if it is."""

    @abstractmethod
    def highest(self, rows: Array, k: int) -> tuple[Array, Array]:
        """The highest and the k-th highest of each row. NaN is highest."""

    @abstractmethod
    def sort(self, rows: Array) -> Array:
        """Each row in ascending order."""

    @abstractmethod
    def spread(self, values: Array, where: Array | None, size: int) -> Array:
        """(n,) values at the places `where` of (size,) zeros; as they are if there is no `where`."""

    @abstractmethod
    def zeros(self, size: int) -> Array:
        """(size,) in float64; on the host where the device has none."""

    @abstractmethod
    def at_a_time(self, vocabulary: int) -> int:
        """How many rows to work on together."""


@final
class NumPy(Library):
    xp = np

    def quiet(self) -> contextlib.AbstractContextManager[Any]:
        return np.errstate(all="ignore")

    def adopt(self, values: Array) -> Array:
        return np.asarray(values)

    def integers(self, values: Array, name: str) -> Array:
        found = np.asarray(values)
        if found.size and found.dtype.kind not in "iu":
            raise _not_whole(name, found.dtype)
        return found.astype(np.int64, copy=False)

    def alike(self, values: Array, other: Array) -> Array:
        return np.asarray(values).astype(other.dtype, copy=False)

    def rows(self, values: Array, where: Array | None, part: slice) -> Array:
        values, shape = np.asarray(values), np.shape(values)
        if values.flags.c_contiguous:
            return values.reshape(-1, shape[-1])[part if where is None else where[part]]
        where = np.arange(part.start, part.stop) if where is None else where[part]
        return values[np.unravel_index(where, shape[:-1])]

    def log_softmax(self, rows: Array, temperature: float = 1.0) -> Array:
        wide = rows.dtype == np.float64 or rows.dtype.kind in "iu"
        scores = rows.astype(np.float64 if wide else np.float32)
        if temperature != 1.0:
            scores /= temperature
        scores -= scores.max(axis=-1, keepdims=True)
        scores -= np.log(np.exp(scores).sum(axis=-1, keepdims=True))
        return scores

    def pick(self, rows: Array, ids: Array) -> Array:
        return np.take_along_axis(rows, ids, axis=-1)

    def put(self, rows: Array, ids: Array, value: float) -> None:
        np.put_along_axis(rows, ids, value, axis=-1)

    def argmax(self, rows: Array) -> Array:
        return rows.argmax(axis=-1)

    def highest(self, rows: Array, k: int) -> tuple[Array, Array]:
        return rows.max(axis=-1), np.partition(rows, -k, axis=-1)[:, -k]

    def sort(self, rows: Array) -> Array:
        return np.sort(rows, axis=-1)

    def spread(self, values: Array, where: Array | None, size: int) -> Array:
        if where is None:
            return values
        whole = np.zeros(size, values.dtype)
        whole[where] = values
        return whole

    def zeros(self, size: int) -> Array:
        return np.zeros(size)

    def at_a_time(self, vocabulary: int) -> int:
        return max(_CHUNK["numpy"] // vocabulary, 1)


@final
class Torch(Library):
    def __init__(self, device: Any) -> None:
        self.xp = sys.modules["torch"]
        self.device = device

    def quiet(self) -> contextlib.AbstractContextManager[Any]:
        return self.xp.no_grad()  # type: ignore[no-any-return]

    def adopt(self, values: Array) -> Array:
        if not is_tensor(values):
            values = self.xp.tensor(np.asarray(values))  # a copy: PyTorch warns of arrays that are read-only
        return values.to(self.device)

    def integers(self, values: Array, name: str) -> Array:
        found = self.adopt(values)
        if found.numel() and (found.is_floating_point() or found.dtype == self.xp.bool):
            raise _not_whole(name, found.dtype)
        return found.long()

    def alike(self, values: Array, other: Array) -> Array:
        return self.adopt(values).to(other.dtype)

    def rows(self, values: Array, where: Array | None, part: slice) -> Array:
        if not is_tensor(values):  # a teacher's file, mapped into memory: no more of it is read than this
            kept = None if where is None else where.cpu().numpy()
            return self.adopt(NumPy().rows(values, kept, part))
        shape = tuple(values.shape)
        if where is not None:
            where = where.to(values.device)
        if values.is_contiguous():
            return self.adopt(values.view(-1, shape[-1])[part if where is None else where[part]])
        places = self.xp.arange(part.start, part.stop, device=values.device) if where is None else where[part]
        return self.adopt(values[self.xp.unravel_index(places, shape[:-1])])

    def log_softmax(self, rows: Array, temperature: float = 1.0) -> Array:
        torch = self.xp
        wide = rows.dtype == torch.float64 or not rows.is_floating_point()
        if temperature != 1.0:
            rows = rows.to(torch.float64 if wide else torch.float32) / temperature
        return torch.log_softmax(rows, -1, dtype=torch.float64 if wide else torch.float32)

    def pick(self, rows: Array, ids: Array) -> Array:
        return rows.gather(-1, ids)

    def put(self, rows: Array, ids: Array, value: float) -> None:
        rows.scatter_(-1, ids, value)

    def argmax(self, rows: Array) -> Array:
        return rows.max(-1).indices  # as argmax, in half the time

    def highest(self, rows: Array, k: int) -> tuple[Array, Array]:
        values = rows.topk(k).values
        return values[:, 0], values[:, -1]

    def sort(self, rows: Array) -> Array:
        return rows.sort(-1).values

    def spread(self, values: Array, where: Array | None, size: int) -> Array:
        if where is None:
            return values
        whole = values.new_zeros(size)
        whole[where.to(values.device)] = values
        return whole

    def zeros(self, size: int) -> Array:
        device = "cpu" if self.device.type == "mps" else self.device
        return self.xp.zeros(size, dtype=self.xp.float64, device=device)

    def at_a_time(self, vocabulary: int) -> int:
        if self.device.type != "cpu":
            return max(_CHUNK["gpu"] // vocabulary, 1)
        threads: int = self.xp.get_num_threads()  # rows are shared out among them
        return max(threads * _CHUNK["cpu"] // vocabulary, threads)


def _not_whole(name: str, dtype: object) -> InputError:
    return InputError(f"{name} are of type {dtype}, and must be whole numbers: the ids of tokens")


def same_shape(name: str, found: Sequence[int], expected: Sequence[int], of: str) -> None:
    """Raises InputError unless the shapes are the same."""
    if tuple(found) != tuple(expected):
        raise InputError(
            f"{name} have shape {tuple(found)}; {of} ask for {tuple(expected)}, one for each row of logits"
        )
