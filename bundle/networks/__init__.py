"""The fair encoders: the one definition that training exports and serving runs.

A closed registry: a manifest names a kind, and a kind this code does not have is refused. Nothing a bundle brings
is ever executed.

Letters: B batch, d dimensions, P parts, M attributes, K supported masks.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from bundle.errors import UnsupportedError
from bundle.manifest import Description, Network, Part, Reranker
from bundle.networks.afrl import AfrlEncoder, StackedMLP
from bundle.networks.calibrated import CalibratedEncoder
from bundle.networks.dithered_lattice import DitheredLatticeEncoder
from bundle.networks.encoder import FairEncoder
from bundle.networks.ffvae import FfvaeEncoder
from bundle.networks.filters import FilterEncoder, MaskFilterEncoder
from bundle.networks.identity import IdentityEncoder
from bundle.networks.joint_lattice import JointLatticeEncoder
from bundle.networks.lattice import LatticeEncoder
from bundle.networks.left_alone import left_alone
from bundle.networks.mean_filters import MeanFilterEncoder
from bundle.networks.reranker import ExactReranker, MlpReranker
from bundle.networks.table import TableEncoder

__all__ = [
    "KINDS",
    "AfrlEncoder",
    "CalibratedEncoder",
    "DitheredLatticeEncoder",
    "ExactReranker",
    "FairEncoder",
    "FfvaeEncoder",
    "FilterEncoder",
    "IdentityEncoder",
    "JointLatticeEncoder",
    "LatticeEncoder",
    "MaskFilterEncoder",
    "MeanFilterEncoder",
    "MlpReranker",
    "StackedMLP",
    "TableEncoder",
    "build_encoder",
    "build_reranker",
    "encoder_of",
    "left_alone",
]

KINDS: Mapping[
    str,
    type[
        AfrlEncoder
        | CalibratedEncoder
        | DitheredLatticeEncoder
        | FfvaeEncoder
        | FilterEncoder
        | IdentityEncoder
        | JointLatticeEncoder
        | LatticeEncoder
        | MaskFilterEncoder
        | MeanFilterEncoder
        | TableEncoder
    ],
] = {
    "afrl": AfrlEncoder,
    "calibrated": CalibratedEncoder,
    "dithered_lattice": DitheredLatticeEncoder,
    "ffvae": FfvaeEncoder,
    "filters": FilterEncoder,
    "identity": IdentityEncoder,
    "joint_lattice": JointLatticeEncoder,
    "lattice": LatticeEncoder,
    "mask_filters": MaskFilterEncoder,
    "mean_filters": MeanFilterEncoder,
    "table": TableEncoder,
}


def build_encoder(
    encoder: Network, dimensions: int, attributes: Sequence[str], parts: Sequence[Part], constants: int = 0
) -> FairEncoder:
    """The network that a manifest names, with memory for its weights but no values yet.

    Args:
        encoder: its kind and layer sizes.
        dimensions: d of user and item vectors.
        attributes: in manifest order.
        parts: in row order.
        constants: how many of the dimensions, the last ones, are 1 for every user; the network has the others.

    Raises:
        UnsupportedError: the kind is not in the registry.
        DamagedError: the layer sizes do not fit the dimensions, attributes and parts.
    """
    if encoder.kind not in KINDS:
        raise UnsupportedError("encoder.kind", encoder.kind, sorted(KINDS))
    network = left_alone(KINDS[encoder.kind](attributes, parts, dimensions - constants, encoder.sizes), constants)
    named = (encoder.model_dump_json(), *(part.model_dump_json() for part in parts))
    network.structure = (named, tuple(attributes), dimensions, constants)
    return network


def encoder_of(description: Description) -> FairEncoder:
    """The network of a bundle, as `build_encoder`."""
    names, constants = description.attribute_names, description.constant_dimensions
    return build_encoder(description.encoder, description.dimensions, names, description.parts, constants)


def build_reranker(reranker: Reranker, dimensions: int, items: int) -> MlpReranker:
    """The network that scores candidates, with memory for its weights but no values yet.

    Raises:
        UnsupportedError: the kind is not known.
        DamagedError: the layer sizes do not fit the dimensions.
    """
    if reranker.kind != "mlp":
        raise UnsupportedError("reranker.kind", reranker.kind, ["mlp"])
    return MlpReranker(reranker, dimensions, items)
