"""Prepares a model to serve: load, verify, warm, compare. Blocks, and so runs in a thread of its own."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter

import numpy as np

from bundle import Bundle, BundleError, Description, missing
from service.errors import ModelRefusedError, StartError
from service.index import Device, Kind
from service.model.active import over
from service.model.inference import BundleUser, ByPopularity, History, SimilarTo, Task, compute
from service.model.loaded import Model, load_model
from service.model.rests import Rests
from service.requirement import Policy, check_policy, covering_mask
from service.store import StateCache

WARM_ITEMS = 10


@dataclass(frozen=True, slots=True)
class ModelChange:
    """The differences that another model makes to callers."""

    attributes_added: tuple[str, ...]
    attributes_removed: tuple[str, ...]
    users_added: int
    users_removed: int
    items_added: int
    items_removed: int
    unmet: Mapping[tuple[str, ...], int]
    """Stored requirement that it cannot meet → number of users with it; their requests are refused while it serves."""

    @property
    def users_unmet(self) -> int:
        """Number of users with requests that are refused."""
        return sum(self.unmet.values())


@dataclass(frozen=True, slots=True)
class Prepared:
    """A model that may serve."""

    model: Model
    timings_ms: Mapping[str, float]
    """Of its stages, rests among them, and of all rests together."""


def prepare(
    folder: Path,
    policy: Policy,
    device: Device,
    kind: Kind = "auto",
    *,
    milvus_url: str | None = None,
    trust_stamp: bool = False,
) -> Prepared:
    """Load a version, and make real lists with it; slowly, as others answer meanwhile.

    Args:
        folder: of the version.
        policy: the operator's.
        device: the device that its index searches on.
        kind: the kind of index.
        milvus_url: address of Milvus, for that kind.
        trust_stamp: whether a stamp of earlier checks will do, as at a start; else every hash is checked.

    Raises:
        ModelRefusedError: it is damaged, or cannot meet the operator's policy.
    """
    version, rests = folder.name, Rests()
    try:
        model = load_model(folder, device, kind, milvus_url=milvus_url, trust_stamp=trust_stamp, pause=rests)
        check_policy(model.bundle.description, policy)
        over(model, policy)
    except StartError as error:
        cause = error.__cause__
        raise ModelRefusedError(version, str(cause if isinstance(cause, BundleError) else error)) from error
    if model.version != version:
        raise ModelRefusedError(version, f"manifest.json: version is {model.version!r}")
    rests()
    started = perf_counter()
    warm(model, policy)
    warm_ms = 1e3 * (perf_counter() - started)
    rests()  # the models are compared next
    return Prepared(model, {**model.loading_ms, "warm_ms": warm_ms, "rested_ms": 1e3 * rests.together_s})


def warm(model: Model, policy: Policy) -> None:
    """Make one list of every kind that the bundle can make, and drop them."""
    bundle = model.bundle
    description = bundle.description
    mask = description.mask(covering_mask(description, policy) or ())
    orders: list[BundleUser | History | SimilarTo | ByPopularity] = [ByPopularity()]
    if bundle.users.ids:
        orders.append(BundleUser(0, mask))
    if bundle.items.ids:
        orders.append(SimilarTo(0))
        if model.reads_histories:
            orders.append(History((0,), mask))
    nothing = np.zeros(0, np.int32)
    compute([Task(model, order, nothing, WARM_ITEMS, None) for order in orders])


def compare(before: Bundle, after: Bundle, policy: Policy, known: StateCache) -> ModelChange:
    """The differences for callers, and for users who have stored a requirement."""
    old, new = before.description.attribute_names, after.description.attribute_names
    users, items = (before.users.ids, after.users.ids), (before.items.ids, after.items.ids)
    return ModelChange(
        attributes_added=tuple(name for name in new if name not in old),
        attributes_removed=tuple(name for name in old if name not in new),
        users_added=missing(users[1], users[0]),
        users_removed=missing(users[0], users[1]),
        items_added=missing(items[1], items[0]),
        items_removed=missing(items[0], items[1]),
        unmet=unmet_requirements(after.description, policy, known),
    )


def unmet_requirements(bundle: Description, policy: Policy, known: StateCache) -> Mapping[tuple[str, ...], int]:
    """Stored requirement that no mask of the bundle covers → number of users with it."""
    stored = Counter(state.requirement for _, state in known.users() if state.requirement and not state.suppressed)
    return {
        names: count
        for names, count in stored.items()
        if not set(names).issubset(bundle.attribute_names) or covering_mask(bundle, policy, names) is None
    }
