"""The contract between training and serving: the content of a bundle, its writing, reading and refusal."""

from bundle.check import Pause, go_on
from bundle.columns import Groups, Texts, missing
from bundle.contents import Audit, Bundle, Items, Parts, Seen, Tilts, Users
from bundle.errors import BundleError, BundleExistsError, said
from bundle.history import (
    Autorec,
    Diffairec,
    Diffrec,
    FilteredModality,
    FoldIn,
    History,
    HistorySet,
    ModalNeighbours,
    Multvae,
    NoHistory,
    PrismEncoder,
    SequenceEncoder,
)
from bundle.manifest import (
    SCHEMA_VERSION,
    Attribute,
    DataSource,
    Description,
    Manifest,
    Network,
    Part,
    PersonalTargets,
    Reranker,
    SupportedMasks,
)
from bundle.mapped import tensor_over
from bundle.networks import ExactReranker, FairEncoder, MlpReranker, build_encoder, build_reranker, left_alone
from bundle.read import read_bundle
from bundle.write import write_bundle

__all__ = [
    "SCHEMA_VERSION",
    "Attribute",
    "Audit",
    "Autorec",
    "Bundle",
    "BundleError",
    "BundleExistsError",
    "DataSource",
    "Description",
    "Diffairec",
    "Diffrec",
    "ExactReranker",
    "FairEncoder",
    "FilteredModality",
    "FoldIn",
    "Groups",
    "History",
    "HistorySet",
    "Items",
    "Manifest",
    "MlpReranker",
    "ModalNeighbours",
    "Multvae",
    "Network",
    "NoHistory",
    "Part",
    "Parts",
    "Pause",
    "PersonalTargets",
    "PrismEncoder",
    "Reranker",
    "Seen",
    "SequenceEncoder",
    "SupportedMasks",
    "Texts",
    "Tilts",
    "Users",
    "build_encoder",
    "build_reranker",
    "go_on",
    "left_alone",
    "missing",
    "read_bundle",
    "said",
    "tensor_over",
    "write_bundle",
]
