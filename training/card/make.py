"""One card: the bundle's views, measured as every audit measures; in `reproduce`, the reference's own figure too."""

from __future__ import annotations

import logging
import time
from collections.abc import Collection
from typing import Any

from bundle import Bundle
from measure.audit import METRICS, Wanted, measure
from measure.audit.progress import bar
from measure.audit.workers import available
from measure.errors import WorkerDiedError
from measure.masks import supported_masks
from measure.profiles import QUICK, Profile
from training.card.reference import reference_of
from training.card.views import Modal, Views, population_of
from training.config import AUDITED_AT_MOST
from training.errors import EvaluationError

log = logging.getLogger(__name__)


def make_card(
    bundle: Bundle,
    profile: Profile = QUICK,
    workers: int | None = 1,
    users: int = AUDITED_AT_MOST,
    also: Collection[str] = (),
    modal: Modal | None = None,
) -> dict[str, Any]:
    """Measure a bundle.

    In `strict`, accuracy and leakage are over audit users, whose labels training never used. In `reproduce`, labels of
    all users were trained on: accuracy is over all users, and the leakage of audit users is *transductive*. Users that
    the base model never saw (``folded_in``) have rows of their own and are in no other.

    Args:
        bundle: as it will be, or was, written.
        profile: how much work a leakage row is worth.
        workers: processes that attack side by side, None for one on each CPU; the card is the same for any number.
            More than one starts fresh interpreters, so a script that asks for them needs its ``__main__`` guard.
        users: audit users to look at, at most, drawn by the run's seed; intervals are as wide as that makes them. In
            `reproduce` everybody is looked at.
        also: metrics that are measured whatever the profile leaves out.
        modal: what each modality says of the items that a user has seen, to be attacked beside the user vectors.

    Raises:
        EvaluationError: the bundle came without audit/, or a worker process died.
    """
    if bundle.audit is None:
        raise EvaluationError("this bundle came without audit/: there are no labels and held-out items to measure with")
    started = time.monotonic()
    description = bundle.description
    masks = tuple(supported_masks(description.attribute_names, description.supports, description.supported_masks.masks))
    everybody = population_of(bundle, bundle.audit)
    looked_at = everybody.at_most(users, everybody.seed) if everybody.strict else everybody
    views = Views(bundle, bundle.audit, looked_at.needed(profile.fit_rows, everybody.seed), modal)
    metrics = frozenset(("accuracy", "leakage", *also) if profile.protected_only else METRICS)
    wanted = Wanted(masks, profile, metrics, views.population.seed)
    try:
        with bar("card") as progress:
            card = measure(views, wanted, workers=workers or available(), progress=progress)
    except WorkerDiedError as error:
        raise EvaluationError(str(error)) from None
    del card["seconds"]  # a card says the same each time
    if description.mode == "reproduce":
        card["reference"] = reference_of(views.population, views.fair, masks)
    rows = len(card["leakage"]["by_mask"])
    log.info("card: %d rows of leakage, profile %s, %.0f s", rows, profile.name, time.monotonic() - started)
    return card
