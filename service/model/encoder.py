"""User vectors → parts; parts and masks → fair vectors: the same for a user and a mask in any batch, on any device.

The last bits of a matrix product depend on the batch size and on the device. So the bundle's network runs in float64
and its output is rounded to float32: any two float64 values of a fair vector round to the same one unless they lie
within `MARGIN` of a point where the rounding changes. Such a row, one in some three hundred, is computed again, alone
and on the CPU. Every fair vector is then the one that the CPU computes for that row alone, on whatever device the batch
ran.

A GPU holds a copy of the network and, where they fit, the parts of all users: rows and masks go there, fair vectors
come back. User vectors made from histories are split on the CPU, one user at a time.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from typing import Any, TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray

from bundle import FairEncoder, Users, tensor_over
from service.errors import first_line
from service.model.array_network import array_network
from service.model.gpu_encoder import GpuEncoder

MARGIN = 1e-13
"""How far two float64 results for the same fair vector can differ, relative to its largest entry; float32: 6e-8.

In any order of summation, with fused products or without, the error of a layer of n inputs is at most n · 2⁻⁵³ of the
sum of its absolute terms: 3e-14 for 256 inputs, and some 1e-15 where the errors have different signs. That leaves room
for a few layers, and for sums that cancel to a hundredth; the measured error is at most 3e-15 for networks of every
kind. A margin ten times as large would make ten times as many rows be computed again.

Source: Higham, *Accuracy and Stability of Numerical Algorithms*, 2002, eq. 3.5.
"""
SHARE = 1 / 3
"""Largest share of a device's memory for the parts of all users: an activation needs room for those of two models."""
ROOM_BYTES = 3 * 2**30
"""Memory left free on a device, for the scores of a batch and other needs."""

UserVector: TypeAlias = NDArray[np.float32]
"""(d,)."""


class FairVectorError(ArithmeticError):
    """A fair vector is not finite: no search is possible with it."""


class DeviceError(Exception):
    """A device cannot hold the encoder; the message says why in one line."""


class UserEncoder:
    """The bundle's network over the parts of its users, and over parts of other users, made on the fly."""

    def __init__(self, encoder: FairEncoder, users: Users, *, unit_length: bool) -> None:
        """Take the network and every user's parts; batches run on the CPU.

        Args:
            encoder: the bundle's network; a float64 copy of it is run.
            users: of the bundle; parts are read when they are needed.
            unit_length: scale fair vectors to length 1, for the cosine scorer; a zero vector stays zero.
        """
        network = copy.deepcopy(encoder).double().requires_grad_(False)
        for weight in network.parameters():
            if weight.dim() == 2:  # stored column by column, which a product with few rows reads faster
                weight.data = weight.data.T.contiguous().T
        self.can_split = type(encoder).split is not FairEncoder.split
        """Whether parts can be made for users that the bundle does not have."""
        self.device_bytes: Mapping[str, int] = {}
        """Memory held on another device than the CPU: kind of data → bytes."""
        self.note: str | None = None
        """Why the parts are on the CPU although batches run elsewhere; None where they are not."""
        self._unit_length = unit_length
        self._alone = network
        self._combine = array_network(network, unit_length=unit_length)
        self._stored: NDArray[Any] = users.parts
        self._gpu: GpuEncoder | None = None

    def on(self, device: str) -> UserEncoder:
        """The same encoder with batches on another device; its memory there is freed with it.

        The parts of all users are copied there if they take at most `SHARE` of the memory and leave `ROOM_BYTES`,
        otherwise the parts of each batch. Fair vectors are the same ones. A batch needs more memory, in proportion to
        its rows.

        Raises:
            DeviceError: the device is not there, or too small.
        """
        stored = self._stored
        try:
            free, total = _memory(device)
            most = min(SHARE * total, free - ROOM_BYTES)
            fits = stored.nbytes <= most
            network = copy.deepcopy(self._alone).to(device)
            parts = tensor_over(stored).to(device) if fits else None
            gpu = GpuEncoder(network, parts, torch.device(device), unit_length=self._unit_length)
        except RuntimeError as error:
            raise DeviceError(f"{device} does not take it: {first_line(error)}") from error
        there = copy.copy(self)
        there._gpu = gpu
        weights: int = sum(weight.nbytes for weight in (*network.parameters(), *network.buffers()))
        there.device_bytes = {"encoder": weights, "parts": stored.nbytes if fits else 0}
        if not fits:
            sizes = f"they take {_mib(stored.nbytes)}, and {_mib(max(0, most))} may be taken on {device}"
            there.note = f"each batch's are copied over: {sizes}, {_mib(free)} of {_mib(total)} being free"
        return there

    def fair_vectors(self, users: Sequence[int | UserVector], masks: Sequence[Sequence[bool]]) -> NDArray[np.float32]:
        """Fair vectors of users under their masks.

        Args:
            users: each a row of the bundle's users, or the user vector of somebody else.
            masks: (B, M), True = protect.

        Returns:
            (B, d), each row a function of its own user and mask alone, to the last bit.

        Raises:
            FairVectorError: a vector is not finite.
        """
        fair = self._fair_vectors(users, masks)
        if not np.isfinite(fair).all():
            raise FairVectorError("a fair vector is not finite")
        return fair

    def finite_fair_vectors(
        self, users: Sequence[int | UserVector], masks: Sequence[Sequence[bool]]
    ) -> tuple[NDArray[np.float32], list[int]]:
        """As `fair_vectors`, without the vectors that are not finite; and the places (n,) of those that are."""
        fair = self._fair_vectors(users, masks)
        finite = np.isfinite(fair).all(axis=1)
        return fair[finite], np.flatnonzero(finite).tolist()

    def _fair_vectors(self, users: Sequence[int | UserVector], masks: Sequence[Sequence[bool]]) -> NDArray[np.float32]:
        wanted = np.array(masks, np.bool_).reshape(len(users), -1)
        with np.errstate(all="ignore"):
            fair, unsure = _rounded(self._exact(users, wanted))
            if len(unsure):
                parts = self._parts([users[row] for row in unsure.tolist()])
                for place, row in enumerate(unsure.tolist()):
                    fair[row] = self._combine(parts[place : place + 1], wanted[row : row + 1])[0]
        return fair

    def _exact(self, users: Sequence[int | UserVector], masks: NDArray[np.bool_]) -> NDArray[np.float64]:
        """(B, d), computed on the device of the network."""
        if self._gpu is None:
            return self._combine(self._parts(users), masks)
        with torch.inference_mode():
            if self._gpu.parts is None or np.ndarray in map(type, users):
                return self._gpu.of_parts(torch.from_numpy(self._parts(users)), masks)
            return self._gpu.of_rows(np.array(users, np.int64), masks)

    def _parts(self, users: Sequence[int | UserVector]) -> NDArray[np.float64]:
        """(B, P, d); exact for every dtype of stored parts."""
        if np.ndarray not in map(type, users):
            return self._known(users)
        others = {place: self._split(user) for place, user in enumerate(users) if isinstance(user, np.ndarray)}
        known = [place for place in range(len(users)) if place not in others]
        together = np.concatenate([self._known([users[place] for place in known]), *others.values()])
        parts = np.empty_like(together)
        parts[[*known, *others]] = together
        return parts

    def _known(self, rows: Sequence[int | UserVector]) -> NDArray[np.float64]:
        """(B, P, d) of users by their rows."""
        return self._stored[np.array(rows, np.int64)].astype(np.float64)

    def _split(self, u: UserVector) -> NDArray[np.float64]:
        """(1, P, d) rounded to float32; one user at a time and on the CPU, so that batch and device change nothing."""
        with torch.inference_mode():
            return self._alone.split(torch.from_numpy(u[None]).double()).float().double().numpy()


def _rounded(exact: NDArray[np.float64]) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """(B, d) in float32, and the rows where another float64 value of the same fair vector might round differently."""
    margin = MARGIN * np.abs(exact).max(axis=1, keepdims=True)
    low, high = (exact - margin).astype(np.float32), (exact + margin).astype(np.float32)
    rows = (low != high).any(axis=1).nonzero()[0]
    if len(rows):  # a value just in the middle comes from sums without any error, as a mean of a few parts
        middle = (low[rows].astype(np.float64) + high[rows]) / 2
        rows = rows[((low[rows] != high[rows]) & (exact[rows] != middle)).any(axis=1)]
    return exact.astype(np.float32), rows


def use_one_thread() -> None:
    """Keep torch in the calling thread: the batches are too small to share."""
    torch.set_num_threads(1)


def _memory(device: str) -> tuple[int, int]:
    """Free bytes of a GPU, torch's own reserve included, and all its bytes.

    Raises:
        DeviceError: torch cannot use a GPU.
    """
    if not torch.cuda.is_available():
        built = torch.backends.cuda.is_built()  # type: ignore[no-untyped-call]
        raise DeviceError("torch finds no GPU" if built else "this torch is built without CUDA")
    free, total = torch.cuda.mem_get_info(device)
    return free + torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device), total


def _mib(count: float) -> str:
    return f"{count / 2**20:,.0f} MiB"
