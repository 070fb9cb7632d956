"""One card: the bundle's views, accuracy, leakage."""

from __future__ import annotations

import logging
import time
from typing import Any

from bundle import Bundle
from measure.profiles import QUICK, Profile
from training.card.accuracy import accuracy_of
from training.card.leakage import leakage_of
from training.card.reference import reference_of
from training.card.views import Views
from training.card.workers import available
from training.errors import EvaluationError
from training.masks import masks_to_measure

log = logging.getLogger(__name__)


def make_card(bundle: Bundle, profile: Profile = QUICK, workers: int | None = 1) -> dict[str, Any]:
    """Measure a bundle.

    In `strict`, accuracy and leakage are over audit users, whose labels training never used. In `reproduce`, labels of
    all users were trained on: accuracy is over all users, and the leakage of audit users is *transductive*. Users that
    the base model never saw (``folded_in``) have rows of their own and are in no other.

    Args:
        bundle: as it will be, or was, written.
        profile: how much work a leakage row is worth.
        workers: processes that attack side by side, None for one on each CPU; the card is the same for any number.
            More than one starts fresh interpreters, so a script that asks for them needs its ``__main__`` guard.

    Raises:
        EvaluationError: the bundle came without audit/, or a worker process died.
    """
    if bundle.audit is None:
        raise EvaluationError("this bundle came without audit/: there are no labels and held-out items to measure with")
    started = time.monotonic()
    description = bundle.description
    masks = [mask for mask in masks_to_measure(description.attribute_names) if description.supports(mask)]
    views = Views(bundle, bundle.audit)
    card = {
        "accuracy": accuracy_of(views, masks),
        "leakage": leakage_of(views, masks, profile, workers or available()),
    }
    if description.mode == "reproduce":
        card["reference"] = reference_of(views, masks)
    rows = len(card["leakage"]["by_mask"])
    log.info("card: %d rows of leakage, profile %s, %.0f s", rows, profile.name, time.monotonic() - started)
    return card
