"""The data that a bundle was trained on, as far as the bundle keeps it."""

from __future__ import annotations

import numpy as np

from bundle import Attribute as Known
from bundle import Bundle
from bundle.manifest import UNORDERED
from measure.labels import in_order
from training.data.dataset import Attribute, Dataset
from training.errors import EvaluationError


def trained_on(bundle: Bundle) -> Dataset:
    """Give users, items, labels and interactions.

    A bundle keeps no order of a user's interactions but that its held-out positives were the last two; the others come
    before them by item row. That is enough for a base without an order, and for holding out the same two again.

    Raises:
        EvaluationError: the bundle came without audit/, or its base reads histories in their order.
    """
    audit, description = bundle.audit, bundle.description
    if audit is None:
        problem = "this bundle came without audit/, so nothing says which interactions are positives or who has which"
        raise EvaluationError(f"{problem} attribute; take one that has it, or give its data by --data")
    if description.history.kind not in UNORDERED:
        problem = f"a {description.base_model} base reads histories in their order, which no bundle keeps"
        raise EvaluationError(f"{problem}: give the data that it was trained on by --data")
    owners = np.repeat(np.arange(len(bundle.users.ids)), np.diff(bundle.seen.indptr))
    indices = np.asarray(bundle.seen.indices)
    late = (indices == audit.validation[owners]) + 2 * (indices == audit.test[owners])
    order = np.lexsort((indices, late, owners))
    return Dataset(
        users=tuple(bundle.users.ids),
        items=tuple(bundle.items.ids),
        titles=tuple(bundle.items.titles),
        groups=tuple(tuple(groups) for groups in bundle.items.groups),
        attributes=tuple(_attribute(each) for each in description.attributes),
        labels=np.asarray(audit.labels),
        indptr=np.asarray(bundle.seen.indptr),
        indices=indices[order],
        positive=np.asarray(audit.positive)[order],
        source=description.data.source,
    )


def _attribute(known: Known) -> Attribute:
    ordered = in_order(known.classes) if known.ordered is None else known.ordered
    return Attribute(known.name, tuple(known.classes), ordered, {name: tuple(of) for name, of in known.merged.items()})
