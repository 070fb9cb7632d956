"""What a model that maps item features by itself reads of them.

Letters: I items, C cold ones, n numbers of a modality, M modalities.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from training.base.cold import in_usual_units
from training.data.modality import Modality
from training.experiment import Experiment


@dataclass(frozen=True, eq=False)
class ModalInputs:
    """Modalities that something can be learned from: some item that is not cold has them.

    Attributes:
        modalities: M of them, as they were read.
        features: of each (I + C, n), in units of what is usual among the items with a training positive; 0 where an
            item lacks the modality.
        present: (I + C, M) bool.
        items: I.
    """

    modalities: tuple[Modality, ...]
    features: tuple[Tensor, ...]
    present: Tensor
    items: int

    def of_items(self) -> ModalInputs:
        """The same without cold items."""
        features = tuple(each[: self.items] for each in self.features)
        return replace(self, features=features, present=self.present[: self.items])


def modal_inputs(experiment: Experiment, device: torch.device) -> ModalInputs:
    """Read them; modalities that cold items alone have are left out."""
    items, touched = len(experiment.dataset.items), np.unique(experiment.train[1]).astype(np.int64)
    known = tuple(each for each in experiment.dataset.modalities if each.present[:items].any())
    features = []
    for each in known:
        having = touched[each.present[touched]]
        values = in_usual_units(each, having if len(having) else np.flatnonzero(each.present[:items]))
        values[~each.present] = 0
        features.append(torch.from_numpy(values.astype(np.float32)).to(device))
    present = np.column_stack([each.present for each in known])
    return ModalInputs(known, tuple(features), torch.from_numpy(present).to(device), items)
