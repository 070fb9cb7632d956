"""FMMRec's second phase: user vectors moved from who is alike in what is biased to who is alike in what is not.

Source: Chen et al., TOIS 2025, fair and unfair user-user structures; docs/algorithms/fmmrec.md, M2.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np
import torch
from numpy.typing import NDArray

from training.base.contract import Base
from training.base.item_graph import nearest, sums, weights_of
from training.fair.filters.config import FmmrecConfig
from training.fair.filters.modal import ModalMeans


def moved(base: Base, means: Mapping[str, ModalMeans], config: FmmrecConfig, device: torch.device) -> Base:
    """Make u + λ_h (what filtered neighbours have − what biased ones have), each modality counting alike.

    Its contexts move as their users do.
    """
    table = torch.from_numpy(base.users).to(device)

    def of(means: NDArray[np.float32]) -> torch.Tensor:
        x = torch.from_numpy(means).to(device)
        near = nearest(x, len(x), min(config.neighbours, len(x)))
        return sums(table, near, weights_of(x, near))

    apart = [of(each.filtered) - of(each.biased) for each in means.values()]
    shift = (config.shift * torch.stack(apart).mean(0)).cpu().numpy()
    contexts = replace(base.contexts, vectors=base.contexts.vectors + shift[base.contexts.users])
    return replace(base, users=base.users + shift, selection=base.selection + shift, contexts=contexts)
