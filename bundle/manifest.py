"""manifest.json: the description of a bundle.

A writer gives a `Description`; writing adds the files and the content hash, which makes it a `Manifest`.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Annotated, Any, Literal

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, StringConstraints, model_validator

from bundle.limits import (
    ATTRIBUTE_NAME,
    FEWEST_CLASSES,
    LARGEST_SIZE,
    MOST_ATTRIBUTES,
    MOST_CLASSES,
    MOST_GROUPS,
    MOST_SIZES,
)

SCHEMA_VERSION = 11
"""The version that is written."""
SCHEMA_VERSIONS = (2, 3, 4, 5, 6, 7, 8, 9, 10, 11)
"""The versions that are read: 3 added parts in float16, 4 constant dimensions and bundles that read no history, 5 the
order of classes, and what merged ones stand for, 6 cold items, 7 targets over item groups for each user, 8 histories
that an autoencoder reads, 9 filters that are averaged, and item vectors that were changed along with the users, 10
histories that are read with what modalities say of their items."""

AttributeName = Annotated[str, StringConstraints(pattern=f"^{ATTRIBUTE_NAME}$")]
PlainName = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9._+-]{0,99}$")]
Digest = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]
Size = Annotated[int, Field(ge=1, le=LARGEST_SIZE)]
"""A dimension or layer size."""


class Frozen(BaseModel):
    """Read once, never changed; an unknown field is an error."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)


class Attribute(Frozen):
    """A user attribute that a request may protect."""

    name: AttributeName
    classes: list[str] = Field(min_length=FEWEST_CLASSES, max_length=MOST_CLASSES)
    ordered: bool | None = None
    """Whether the classes stand from low to high; None, in older bundles: as names that are numbers or ranges say."""
    merged: dict[str, Annotated[list[str], Field(min_length=1, max_length=MOST_CLASSES)]] = Field(
        default_factory=dict, max_length=MOST_CLASSES
    )
    """Class → the classes of the data that it stands for; the others stand for themselves."""

    @model_validator(mode="after")
    def _merged_are_classes(self) -> Attribute:
        if unknown := sorted(set(self.merged) - set(self.classes)):
            raise ValueError(f"merged classes {unknown} of {self.name!r} are none of {self.classes}")
        return self


class Part(Frozen):
    """One row of a user's parts, and when the fair vector takes it.

    ``always``: in every mask. ``none_protected``: only where none of ``attributes`` is protected (an attribute
    part). ``all_protected``: only where all of them are (a pair part, which gives back what two attribute parts
    share and would otherwise be withheld twice).
    """

    name: str
    attributes: list[AttributeName] = Field(max_length=MOST_ATTRIBUTES)
    taken: Literal["always", "none_protected", "all_protected"]

    @model_validator(mode="after")
    def _rule_has_attributes(self) -> Part:
        if (self.taken == "always") == bool(self.attributes):
            raise ValueError(f"part {self.name!r} is taken {self.taken!r} with attributes {self.attributes}")
        return self


class SupportedMasks(Frozen):
    """Which requirements the bundle can answer: every mask, a list of masks, or one fixed mask."""

    kind: Literal["all", "list", "fixed"]
    masks: list[list[AttributeName]] = Field(default_factory=list, max_length=4096)
    """Protected attributes of each supported mask; empty for ``all``, one entry for ``fixed``."""

    @model_validator(mode="after")
    def _count(self) -> SupportedMasks:
        allowed = {"all": len(self.masks) == 0, "list": len(self.masks) > 0, "fixed": len(self.masks) == 1}
        if not allowed[self.kind]:
            raise ValueError(f"supported_masks of kind {self.kind!r} cannot have {len(self.masks)} masks")
        return self


class Network(Frozen):
    """Which network of a closed registry some weights belong to, and its layer sizes."""

    kind: str
    sizes: dict[str, Annotated[list[Size], Field(max_length=MOST_SIZES)]] = Field(max_length=16)


class Reranker(Network):
    """Scores the candidates of a base model whose score is not an inner product."""

    candidates: Size
    """How many items the inner product proposes, at least; more where more are asked for."""


class PersonalTargets(Frozen):
    """Targets over item groups, one for each user, whose mean is that of the whole (PCT); the numbers are arrays."""

    groups: list[str] = Field(min_length=1, max_length=MOST_GROUPS)
    """Of the shares, in their order; every group of the items, and what items without one are counted as."""
    depth: Size
    """Items of a user's own ranking, nothing dropped, that the user's own shares are made from."""
    masks: list[list[AttributeName]] = Field(max_length=4096)
    """Protected attributes of each mask that has a tilt of its own."""


class DataSource(Frozen):
    """The training data."""

    source: str
    fingerprint: Digest
    users: int
    items: int
    interactions: int


class ArraySpec(Frozen):
    """Shape and dtype of one array in a safetensors file."""

    shape: list[Annotated[int, Field(ge=0)]]
    dtype: str


class FileSpec(Frozen):
    """One file of the bundle."""

    sha256: Digest
    bytes: Annotated[int, Field(ge=0)]
    arrays: dict[str, ArraySpec] = Field(default_factory=dict)
    rows: Annotated[int, Field(ge=0)] | None = None
    """Rows of a Parquet file; None for any other."""


UNORDERED = ("fold_in", "none", "autorec", "multvae", "diffrec", "diffairec")
"""Kinds of history in which order plays no part; constant dimensions go with these alone."""
_INSIDE = {"encoder", "history", "reranker", "user_layout", "parts", "files"}


class Description(Frozen):
    """Everything a bundle says of itself except its files."""

    schema_version: int
    name: PlainName
    version: PlainName
    created: AwareDatetime
    method: str
    mode: Literal["reproduce", "strict"]
    base_model: str
    dimensions: Size
    constant_dimensions: Annotated[int, Field(ge=0)] = 0
    """How many dimensions, the last ones, are 1 for every user under every mask: items have biases there."""
    attributes: list[Attribute] = Field(max_length=MOST_ATTRIBUTES)
    supported_masks: SupportedMasks
    always_protected: list[AttributeName]
    empty_mask: Literal["base", "fair"]
    """The vector for a request that protects nothing: the user vector itself, or the output of the fair model."""
    scorer: Literal["inner", "cosine", "rerank"]
    reranker: Reranker | None
    """Where ``scorer`` is ``rerank``, and only there."""
    encoder: Network
    """A kind of `bundle.networks`."""
    history: Network
    """A kind of `bundle.history`: how a user vector comes from a history alone."""
    balance: PersonalTargets | None = None
    """What `balance=target` stands for where the operator has no target; None: for nothing."""
    base_items: bool = False
    """Whether the user vectors u go with other item vectors than those that are served, which audit/ then has."""
    user_layout: Literal["parts", "fair"]
    parts: list[Part] = Field(max_length=4096)
    """In row order; empty where ``user_layout`` is ``fair`` (one row per supported mask)."""
    seeds: dict[str, int]
    user_split_salt: str
    data: DataSource
    code_revision: str

    @model_validator(mode="after")
    def _names_are_known(self) -> Description:
        names = [attribute.name for attribute in self.attributes]
        if len(set(names)) != len(names):
            raise ValueError(f"attribute names repeat: {names}")
        if len({part.name for part in self.parts}) != len(self.parts):
            raise ValueError(f"part names repeat: {[part.name for part in self.parts]}")
        used = [*self.always_protected, *(name for mask in self.supported_masks.masks for name in mask)]
        used += [name for part in self.parts for name in part.attributes]
        used += [name for mask in (self.balance.masks if self.balance else ()) for name in mask]
        if unknown := sorted(set(used) - set(names)):
            raise ValueError(f"unknown attributes {unknown}; the bundle has {names}")
        if (self.scorer == "rerank") != (self.reranker is not None):
            raise ValueError(f"scorer {self.scorer!r} {'without' if self.reranker is None else 'with'} a reranker")
        if (self.user_layout == "parts") != bool(self.parts):
            raise ValueError(f"user_layout {self.user_layout!r} with {len(self.parts)} parts")
        if self.constant_dimensions and (self.scorer, self.user_layout, self.history.kind in UNORDERED) != (
            "inner",
            "parts",
            True,
        ):
            raise ValueError("constant dimensions need scorer 'inner', user_layout 'parts' and a history in no order")
        if self.constant_dimensions >= self.dimensions:
            raise ValueError(f"{self.constant_dimensions} constant dimensions of {self.dimensions}")
        if self.user_layout == "fair" and self.supported_masks.kind == "all":
            raise ValueError("user_layout 'fair' needs its masks listed in supported_masks")
        if self.encoder.kind == "identity" and self.supported_masks.kind != "fixed":
            raise ValueError(f"encoder 'identity' with supported_masks of kind {self.supported_masks.kind!r}")
        if unmet := [mask for mask in self.supported_masks.masks if not set(mask) >= set(self.always_protected)]:
            raise ValueError(f"supported masks {unmet} leave out some of always_protected {self.always_protected}")
        return self

    @property
    def attribute_names(self) -> tuple[str, ...]:
        """In manifest order, the order of every mask."""
        return tuple(attribute.name for attribute in self.attributes)

    def mask(self, protected: Iterable[str]) -> tuple[bool, ...]:
        """One flag per attribute in manifest order; True = protect = its part is withheld."""
        wanted = set(protected)
        return tuple(name in wanted for name in self.attribute_names)

    def supports(self, protected: Iterable[str]) -> bool:
        """Whether a list can be made for exactly this set of protected attributes."""
        wanted = set(protected)
        if not wanted.issuperset(self.always_protected):
            return False
        return self.supported_masks.kind == "all" or any(wanted == set(mask) for mask in self.supported_masks.masks)

    def facts(self) -> dict[str, Any]:
        """The fields for a report, as JSON data: everything but files, layers and parts."""
        return self.model_dump(mode="json", exclude=_INSIDE)


class Manifest(Description):
    """The description, every file with its hash and shapes, and the content hash."""

    files: dict[str, FileSpec]
    content_hash: Digest


def manifest_hash(manifest: Mapping[str, object]) -> str:
    """SHA-256 over the manifest's JSON without this field: keys sorted, no spaces, UTF-8."""
    rest = {key: value for key, value in manifest.items() if key != "manifest_hash"}
    text = json.dumps(rest, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return hashlib.sha256(text.encode()).hexdigest()


def content_hash(hashes: Mapping[str, str]) -> str:
    """SHA-256 over the sorted (file, sha256) list: equal for equal contents, also of another version or date."""
    listing: Sequence[tuple[str, str]] = sorted(hashes.items())
    return hashlib.sha256(json.dumps(listing, separators=(",", ":")).encode()).hexdigest()
