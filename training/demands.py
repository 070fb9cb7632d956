"""What a run needs of its data and its configuration: all that can be known before training is refused before it.

What is too little to *measure* is no demand: the card then says what was not measured. These are the demands without
which a stage has nothing to work on, or would withhold what it never learned to withhold.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from balance.shares import ItemShares
from bundle.limits import FEWEST_CLASSES
from measure.split import AUDIT, SELECT, TRAIN
from training.base.train import positives_needed, refuse_unfit_base
from training.base.vectors import BroughtVectors
from training.config import RunConfig
from training.data.dataset import UNKNOWN, Dataset
from training.data.small_classes import merge_small
from training.data.split import MIN_POSITIVES, NOTHING, hold_out, split_users
from training.errors import TooLittleDataError
from training.experiment import Experiment
from training.fair.train import chooses_by_held_out, refuse_unfit
from training.targets_config import system_target

FEWEST_ITEMS = 2


def experiment_of(config: RunConfig, dataset: Dataset, vectors: BroughtVectors | None = None) -> Experiment:
    """The experiment of a run, with everything in it that its stages need; small classes of its dataset are merged.

    Args:
        config: the run.
        dataset: what it is trained on.
        vectors: the base's, where they were brought. Methods that choose nothing by held-out positives then do without
            them: what they would have measured, the card does not have.

    Raises:
        TooLittleDataError: the data has too little of something; says of what, how much, and how much is needed.
        ConfigError: the base or the method cannot be trained for these attributes, or items lack groups of a target.
    """
    if not dataset.attributes:
        raise TooLittleDataError(
            "attributes",
            0,
            1,
            "no users table, or no column of it that can be an attribute: there is nothing to withhold",
        )
    split = split_users(dataset.users, config.split_salt)
    dataset = merge_small(dataset, split == TRAIN)
    experiment = Experiment(
        dataset,
        hold_out(dataset, config.data.held_out, config.split_salt),
        split,
        config.mode,
        config.seed,
        config.new_users,
        config.split_salt,
    )
    if config.balance is not None:
        system_target(config.balance, ItemShares(dataset.groups))
    refuse_unfit(experiment, config.base, config.fair, vectors)
    _refuse_few_items(dataset)
    refuse_unfit_base(experiment, config.base)
    if vectors is None or chooses_by_held_out(config.fair):
        _refuse_few_held_out(experiment)
    _refuse_few_labels(experiment, positives_needed(config.base))
    return experiment


def _refuse_few_items(dataset: Dataset) -> None:
    if len(dataset.items) < FEWEST_ITEMS:
        raise TooLittleDataError("items with a positive", len(dataset.items), FEWEST_ITEMS)


def _refuse_few_held_out(experiment: Experiment) -> None:
    """Epochs are chosen by held-out positives of select users, and the card ranks those of audit users."""
    met, split = ~experiment.folded_in, experiment.user_split
    select = int((met & (split == SELECT) & (experiment.validation != NOTHING)).sum())
    audit = int((met & (split == AUDIT) & (experiment.held_out.test != NOTHING)).sum())
    if not (select and audit):
        name = "audit" if select else "select"
        why = f"with so many there are {select:,} to select by and {audit:,} to audit; {_of_users(experiment)}"
        raise TooLittleDataError(f"{name} users with {MIN_POSITIVES} or more positives", 0, 1, why)


def _refuse_few_labels(experiment: Experiment, positives: int) -> None:
    """A method learns an attribute from users with a label; the reference's own figure needs some in every part."""
    enough = np.diff(experiment.train[0]) >= positives
    everyone = experiment.mode == "reproduce"
    learned = enough if everyone else enough & (experiment.user_split == TRAIN)
    whom = "users" if everyone else "train users"
    _refuse_few_classes(experiment, learned, f"{whom} with {positives} or more training positives")
    for part, name in ((TRAIN, "train"), (SELECT, "select"), (AUDIT, "audit")) if everyone else ():
        _refuse_few_classes(experiment, experiment.user_split == part, f"{name} users")


def _refuse_few_classes(experiment: Experiment, users: NDArray[np.bool_], whom: str) -> None:
    """With one class among those whose labels are learned from there is nothing to tell apart."""
    for name, labels in zip(experiment.attributes, experiment.dataset.labels[users].T, strict=True):
        found = np.unique(labels[labels != UNKNOWN])
        if len(found) < FEWEST_CLASSES:
            known = int((labels != UNKNOWN).sum())
            why = f"{known:,} of {len(labels):,} {whom} have a label; {_of_users(experiment)}"
            raise TooLittleDataError(f"classes of {name!r} among {whom}", len(found), FEWEST_CLASSES, why)


def _of_users(experiment: Experiment) -> str:
    """How many users there are, and in which part."""
    parts = ((TRAIN, "train"), (SELECT, "select"), (AUDIT, "audit"))
    counts = [f"{int((experiment.user_split == part).sum()):,} {name}" for part, name in parts]
    new = int(experiment.folded_in.sum())
    left_out = f", {new:,} of these never met by training" if new else ""
    return f"the {len(experiment.dataset.users):,} users are {counts[0]}, {counts[1]} and {counts[2]} users{left_out}"
