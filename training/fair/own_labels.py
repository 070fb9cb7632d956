"""What methods share that treat a user by the own label: whom they cannot treat, and how their vectors are exported."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from bundle import SupportedMasks
from training.base.contract import Base
from training.data.dataset import UNKNOWN
from training.errors import ConfigError
from training.experiment import Experiment
from training.fair.contract import Fair
from training.fair.finished import finished_vectors


def refuse_own_labels(experiment: Experiment, method: str, key: str, names: Sequence[str], problem: str) -> None:
    """Refuse what would leave some user less protected than the bundle says.

    Args:
        experiment: the data.
        method: as the configuration names it.
        key: of the configuration that chose own labels.
        names: attributes whose labels are used.
        problem: what the method does with them, as the middle of a sentence.

    Raises:
        ConfigError: `strict`, whose audit users' labels may not be used; a user without a label, for whom nothing would
            be done; or new users, for whom there is no vector until the next training.
    """
    if experiment.mode == "strict":
        why = f"{problem}, and mode 'strict' has those of train users only"
        raise ConfigError(key, why, value=method, allowed="mode 'reproduce', or method 'lattice'")
    if experiment.new_users:
        why = f"{problem}, so it serves no new user until it is run again"
        raise ConfigError(
            "new_users", f"is for methods that do; {method} {why}", value=experiment.new_users, allowed="0"
        )
    for name in names:
        unknown = int((experiment.labels_of(name) == UNKNOWN).sum())
        if unknown:
            why = f"{problem}, and {unknown:,} of {len(experiment.dataset.users):,} have none of {name!r}"
            raise ConfigError(
                key, why, value=method, allowed="a label for everybody, another attribute, or method 'lattice'"
            )


def chosen_by_labels(base: Base, attributes: Sequence[str], names: Sequence[str], vectors: NDArray[np.float32]) -> Fair:
    """Vectors that own labels chose, under the one mask that they are made for.

    Args:
        base: exported beside them.
        attributes: of the data, in manifest order.
        names: protected in every answer.
        vectors: (U, d).
    """
    masks = SupportedMasks(kind="fixed", masks=[list(names)])
    encoder, network = finished_vectors(attributes, [names])
    return Fair(base, encoder, network, [], "base", masks, list(names), vectors=vectors[:, None])
