"""FMMRec's second phase: user vectors moved from who is alike in what is biased to who is alike in what is not.

New users, who are in no graph, get the mean of who is alike in what is not.

Source: Chen et al., TOIS 2025, fair and unfair user-user structures; docs/algorithms/fmmrec.md, M2, M3.

Letters: U users, d dimensions.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np
import torch
from numpy.typing import NDArray

from bundle import FilteredModality, ModalNeighbours
from measure.scoring import to_unit
from training.base.contract import Base
from training.base.item_graph import nearest, sums, weights_of
from training.experiment import evenly
from training.fair.filters.config import FmmrecConfig
from training.fair.filters.modal import ModalMeans


def moved(
    base: Base, known: NDArray[np.bool_], means: Mapping[str, ModalMeans], config: FmmrecConfig, device: torch.device
) -> Base:
    """Make u + λ_h (what filtered neighbours have − what biased ones have), each modality counting alike.

    Its contexts move as their users do. Users who are not ``known`` (U,) stay, and are nobody's neighbours.
    """
    table = torch.from_numpy(base.users[known]).to(device)

    def of(means: NDArray[np.float32]) -> torch.Tensor:
        x = torch.from_numpy(means[known]).to(device)
        near = nearest(x, len(x), min(config.neighbours, len(x)))
        return sums(table, near, weights_of(x, near))

    apart = [of(each.filtered) - of(each.biased) for each in means.values()]
    shift = np.zeros_like(base.users)
    shift[known] = (config.shift * torch.stack(apart).mean(0)).cpu().numpy()
    contexts = replace(base.contexts, vectors=base.contexts.vectors + shift[base.contexts.users])
    return replace(base, users=base.users + shift, selection=base.selection + shift, contexts=contexts)


def history_among(
    vectors: NDArray[np.float32], known: NDArray[np.bool_], means: Mapping[str, ModalMeans], config: FmmrecConfig
) -> ModalNeighbours:
    """The graph of filtered means as a bundle has it.

    Args:
        vectors: (U, d) fair vectors.
        known: (U,) who may be in the graph.
        means: of every user.
        config: how many users are in the graph, and how many of them make a new one's vector.
    """
    rows = evenly(np.flatnonzero(known), config.graph_users)
    modalities = [
        FilteredModality(to_unit(each.filtered[rows]), each.items, each.present, each.usual) for each in means.values()
    ]
    return ModalNeighbours(vectors[rows], modalities, min(config.neighbours, len(rows)))
