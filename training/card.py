"""card.json: accuracy and leakage as measured on this exported bundle, through its own encoder."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from tqdm import tqdm

from bundle import Bundle
from measure.accuracy import accuracy, full_ranks, sample_negatives, sampled_ranks
from measure.errors import MeasureError
from measure.leakage import Users, leakage
from measure.profiles import QUICK, Profile
from measure.tuning import tune
from training.data.split import AUDIT, SELECT, TRAIN
from training.errors import EvaluationError
from training.masks import Mask, masks_to_measure

Row = dict[str, Any]


def make_card(bundle: Bundle, profile: Profile = QUICK) -> Row:
    """Measure a bundle.

    In `strict`, accuracy and leakage are over audit users, whose labels training never used. In `reproduce`, labels of
    all users were trained on: accuracy is over all users, and the leakage of audit users is *transductive*.

    Args:
        bundle: as it will be, or was, written.
        profile: how much work a leakage row is worth.

    Raises:
        EvaluationError: the bundle came without audit/.
    """
    if bundle.audit is None:
        raise EvaluationError("this bundle came without audit/: there are no labels and held-out items to measure with")
    description = bundle.description
    masks = [mask for mask in masks_to_measure(description.attribute_names) if description.supports(mask)]
    vectors = {mask: fair_vectors(bundle, mask) for mask in masks}
    return {
        "accuracy": _accuracy(bundle, vectors),
        "leakage": _leakage(bundle, vectors, profile),
    }


def fair_vectors(bundle: Bundle, mask: Mask) -> NDArray[np.float32]:
    """(U, d) fair vectors of every user under one mask, as serving combines them."""
    flags = torch.tensor(bundle.description.mask(mask)).expand(len(bundle.users.ids), -1)
    with torch.no_grad():
        return bundle.encoder.combine(torch.from_numpy(bundle.users.parts), flags).numpy()


def _accuracy(bundle: Bundle, vectors: dict[Mask, NDArray[np.float32]]) -> Row:
    audit, description = bundle.audit, bundle.description
    assert audit is not None  # noqa: S101  make_card looked
    strict = description.mode == "strict"
    rows = audit.split == AUDIT if strict else np.ones(len(audit.split), np.bool_)
    indptr, indices = bundle.seen.indptr, bundle.seen.indices
    if not strict:
        owners = np.repeat(np.arange(len(indptr) - 1), np.diff(indptr))[audit.positive]
        indptr, indices = np.searchsorted(owners, np.arange(len(indptr))), indices[audit.positive]
    items = bundle.items.vectors
    negatives = sample_negatives(indptr, indices, len(items), seed=description.seeds["run"] + 1)
    positive = np.where(rows, audit.test, -1)

    def measured(users: NDArray[np.float32]) -> Row:
        sampled = sampled_ranks(users, items, positive, negatives)
        return dict(accuracy(sampled, full_ranks(users, items, positive, indptr, indices)))

    base = measured(audit.base)
    protocol = {
        "users": "audit" if strict else "all",
        "positive": "last positive of each user in time",
        "against": "items not in seen" if strict else "items that are no positive of the user",
        "sampled_negatives": negatives.shape[1],
        "seed": description.seeds["run"] + 1,
    }
    by_mask = [
        {"sensitive": list(mask), **measured(users), "base": {key: base[key] for key in ("sampled", "full")}}
        for mask, users in vectors.items()
    ]
    return {"protocol": protocol, "by_mask": by_mask}


def _leakage(bundle: Bundle, vectors: dict[Mask, NDArray[np.float32]], profile: Profile) -> Row:
    audit, description = bundle.audit, bundle.description
    assert audit is not None  # noqa: S101  make_card looked
    seed = description.seeds["run"]
    users = Users(np.flatnonzero(audit.split == AUDIT), np.flatnonzero(audit.split == TRAIN))
    select = audit.split == SELECT
    by_mask, skipped = [], []
    for index, name in enumerate(tqdm(description.attribute_names, desc="leakage", unit="attribute", disable=None)):
        labels = audit.labels[:, index].astype(np.int64)
        try:
            tuned = tune(audit.base[select], labels[select], seed, profile.attackers)
            base = leakage(audit.base, labels, users, profile, attribute=name, target="base", tuned=tuned, seed=seed)
            by_mask.append({"sensitive": [], **base.as_row()})
            for mask, fair in vectors.items():
                row = leakage(
                    fair, labels, users, profile,
                    attribute=name, target="fair", tuned=tuned, base_auc=base.auc, seed=seed,
                )  # fmt: skip
                by_mask.append({"sensitive": list(mask), **row.as_row()})
        except MeasureError as error:
            skipped.append({"attribute": name, "reason": str(error)})
    protocol = {
        "profile": profile.name,
        "verdict": profile.verdict,
        "users": "audit",
        "labels": "train users only" if description.mode == "strict" else "all users: transductive",
        "score": "macro one-vs-rest AUC of scores, .5 + |AUC - .5|, the worse of cross-validated and fitted on train",
        "not_measured": skipped,
        "seed": seed,
    }
    return {"protocol": protocol, "by_mask": by_mask}
