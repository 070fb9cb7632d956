"""The contract between training and serving: what a bundle holds, how it is written, read and refused."""

from bundle.contents import Audit, Bundle, Items, Seen, Users
from bundle.errors import BundleError
from bundle.foldin import FoldIn
from bundle.manifest import (
    SCHEMA_VERSION,
    Attribute,
    DataSource,
    Description,
    Encoder,
    Manifest,
    Part,
    SupportedMasks,
)
from bundle.networks import FairEncoder, build_encoder
from bundle.read import read_bundle
from bundle.write import write_bundle

__all__ = [
    "SCHEMA_VERSION",
    "Attribute",
    "Audit",
    "Bundle",
    "BundleError",
    "DataSource",
    "Description",
    "Encoder",
    "FairEncoder",
    "FoldIn",
    "Items",
    "Manifest",
    "Part",
    "Seen",
    "SupportedMasks",
    "Users",
    "build_encoder",
    "read_bundle",
    "write_bundle",
]
