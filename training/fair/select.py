"""The number that chooses the best epoch of a fair model."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import partial
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from bundle import FairEncoder
from measure.accuracy import ndcg_at, sampled_ranks
from measure.errors import MeasureError
from measure.labels import merge_rare
from measure.leakage import Users, leakage
from measure.masks import Mask, masks_to_measure
from measure.profiles import Profile
from measure.scoring import Scorer
from measure.split import SELECT, TRAIN
from training import scalars
from training.base.contract import Base
from training.experiment import Experiment, evenly

log = logging.getLogger(__name__)

ATTACKED_AT_MOST = 10_000
SELECTION = Profile("selection", ("logistic",), 3, 1, 1, 1, 1, fit_rows=4_000, verdict=False)
"""The attacker that chooses an epoch: cheap, run after every few epochs, on every mask."""
CHECK = replace(SELECTION, name="check", attackers=("logistic", "mlp", "knn"), permutations=100)
"""The attackers that decide whether enough is withheld: two more that are not linear, and what chance shows."""


class Shown(NamedTuple):
    """What attackers find of an attribute among select users."""

    auc: float
    """Folded, of the strongest."""
    by_chance: float
    """95 % point of what they find where there is nothing: fewer users show more."""


@dataclass(frozen=True)
class Validation:
    """Held-out positives and negatives that a validation ranks, over some of the users."""

    users: NDArray[np.float32]
    """(n, d) user vectors of the users validated on."""
    scorer: Scorer
    positive: NDArray[np.int32]
    """(n,), -1 for none."""
    negatives: NDArray[np.int32]
    """(n, 99)."""
    attributes: Sequence[str]

    def ndcg(self, vectors: NDArray[np.float32]) -> float:
        """Sampled N@10 of (n, d) vectors."""
        ranks = sampled_ranks(vectors, self.scorer, self.positive, self.negatives)
        return float(ndcg_at(10, ranks[ranks >= 0]).mean())

    def fair(self, encoder: FairEncoder, mask: Mask) -> NDArray[np.float32]:
        """(n, d) fair vectors under one mask."""
        return fair_vectors(encoder, self.users, [name in mask for name in self.attributes])


def fair_vectors(encoder: FairEncoder, users: NDArray[np.float32], protect: Sequence[bool]) -> NDArray[np.float32]:
    """(n, d) user vectors → (n, d) fair vectors, all under one mask (M,)."""
    device = next(encoder.parameters()).device
    with torch.no_grad():
        parts = encoder.split(torch.from_numpy(users).to(device))
        return encoder.combine(parts, torch.tensor(protect, device=device).expand(len(parts), -1)).cpu().numpy()


def by_accuracy(validation: Validation, masks: Sequence[Mask]) -> Callable[[FairEncoder], float]:
    """`reproduce`: mean N@10 over masks; leakage plays no part, as in the reference."""

    def score(encoder: FairEncoder) -> float:
        return float(np.mean([validation.ndcg(validation.fair(encoder, mask)) for mask in masks]))

    return score


def by_accuracy_and_leakage(
    validation: Validation,
    masks: Sequence[Mask],
    leaked: Callable[[NDArray[np.float32], str], float | None],
    price: float,
    full: float | None = None,
) -> Callable[[FairEncoder], float]:
    """`strict`: mean over masks of N@10 kept, less ``price`` times the mean AUC above .5 of the protected attributes.

    Args:
        validation: of the select users.
        masks: all that the card will report.
        leaked: (vectors of the select users, attribute) → folded AUC in [.5, 1], None where it cannot be measured: such
            an attribute has no part in the choice.
        price: accuracy points that one AUC point costs.
        full: N@10 that counts as all kept; None for that of the user vectors themselves.
    """
    base = validation.ndcg(validation.users) if full is None else full

    def score(encoder: FairEncoder) -> float:
        kept, excess = [], []
        for mask in masks:
            vectors = validation.fair(encoder, mask)
            kept.append(validation.ndcg(vectors) / base if base else 0.0)  # nothing to keep: leakage decides
            for name in mask:
                if (auc := leaked(vectors, name)) is not None:
                    excess.append(auc - 0.5)
                    scalars.record(f"leakage/{'+'.join(mask)}/{name}", auc)
        return float(np.mean(kept) - (price * np.mean(excess) if excess else 0.0))

    return score


def selection(
    experiment: Experiment,
    base: Base,
    leakage_price: float,
    before: Base | None = None,
    masks: Sequence[Mask] | None = None,
) -> Callable[[FairEncoder], float]:
    """The function that scores an epoch in the experiment's mode; `strict` looks at select users only.

    Args:
        experiment: what is trained on.
        base: whose user vectors and items are validated.
        leakage_price: accuracy points that one AUC point costs.
        before: the base as it was, where ``base`` has been trained further: what is kept is kept of this one.
        masks: those that can be validated; None for all.
    """
    names = experiment.attributes
    strict = experiment.mode == "strict"
    rows = np.flatnonzero(experiment.user_split == SELECT) if strict else np.arange(len(base.selection))
    positive, negatives = experiment.validation_of(rows)
    validation = Validation(base.selection[rows], base.scorer, positive, negatives, names)
    if not strict:
        ends = [mask for mask in ((), names) if masks is None or mask in masks]
        return by_accuracy(validation, ends or masks or ())  # the reference's --fix_one

    labels = {name: experiment.labels_of(name)[rows] for name in names}
    everyone, seed, ordered = Users(audit=np.arange(len(rows))), experiment.seed, experiment.ordered
    for name, why in unmeasured_on_select(experiment).items():
        log.warning("fair: leakage of %s plays no part in choosing an epoch: %s", name, why)

    def leaked(vectors: NDArray[np.float32], name: str) -> float | None:
        return selection_leakage(vectors, labels[name], everyone, name, seed, ordered=ordered[name])

    full = None
    if before is not None:
        full = replace(validation, scorer=before.scorer).ndcg(before.selection[rows])
    return by_accuracy_and_leakage(validation, masks or masks_to_measure(names), leaked, leakage_price, full)


def shown_by(experiment: Experiment, base: Base) -> Callable[[FairEncoder, Mask], dict[str, Shown]]:
    """What select users show of each protected attribute to attackers fitted on them and on train users.

    Attributes of which too few of them have a known label are absent.
    """
    rows, users = select_and_train(experiment)

    def shown(encoder: FairEncoder, mask: Mask) -> dict[str, Shown]:
        fair = fair_vectors(encoder, base.users[rows], [name in mask for name in experiment.attributes])
        attack = partial(leakage, fair, users=users, profile=CHECK, target="fair", seed=experiment.seed)
        found = {}
        for name in mask:
            with suppress(MeasureError):
                labels, ordered = experiment.labels_of(name)[rows], experiment.ordered[name]
                row = attack(labels=labels, attribute=name, ordered=ordered)
                found[name] = Shown(row.auc, row.permutation95)
        return found

    return shown


def select_and_train(experiment: Experiment) -> tuple[NDArray[np.intp], Users]:
    """(n,) rows of the select users, then of the train users; attackers are tested on the first, fitted on both.

    At most `ATTACKED_AT_MOST` of each, evenly spread: an AUC over so many is known to ± .01.
    """
    select, train = (
        evenly(np.flatnonzero(experiment.user_split == part), ATTACKED_AT_MOST) for part in (SELECT, TRAIN)
    )
    rows = np.concatenate([select, train])
    return rows, Users(audit=np.arange(len(select)), train=np.arange(len(select), len(rows)))


def unmeasured_on_select(experiment: Experiment) -> dict[str, str]:
    """Attributes whose leakage cannot be measured on the select users, and why; known before anything is trained."""
    select = np.flatnonzero(experiment.user_split == SELECT)
    found = {}
    for name, ordered in experiment.ordered.items():
        try:
            merge_rare(experiment.labels_of(name), select, ordered=ordered)
        except MeasureError as error:
            found[name] = f"select users: {error}"
    return found


def selection_leakage(
    vectors: NDArray[np.float32],
    labels: NDArray[np.int64],
    users: Users,
    name: str,
    seed: int,
    *,
    ordered: bool = False,
) -> float | None:
    """Folded AUC of the cheap attacker; None where there are too few users of a class to say anything."""
    try:
        found = leakage(vectors, labels, users, SELECTION, attribute=name, target="fair", ordered=ordered, seed=seed)
    except MeasureError:
        return None
    return found.auc
