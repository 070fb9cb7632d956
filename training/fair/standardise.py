"""The centre and spread of the user vectors that an encoder is trained on."""

from __future__ import annotations

import numpy as np
import torch

from bundle.networks import CalibratedEncoder, FfvaeEncoder
from training.base.contract import Base


def standardise(encoder: FfvaeEncoder | CalibratedEncoder, base: Base) -> None:
    """Give an encoder the centre and spread of the contexts with positives."""
    contexts = base.contexts
    u = contexts.vectors[np.diff(contexts.indptr) > 0].astype(np.float64)
    encoder.centre.copy_(torch.from_numpy(u.mean(0)))
    encoder.spread.copy_(torch.from_numpy(np.maximum(u.std(0), 1e-6)))
