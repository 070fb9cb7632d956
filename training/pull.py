"""`data pull`: a bundle's data and what its service was told → three tables, and how to train on them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from bundle import Bundle
from measure.labels import in_order
from measure.split import TRAIN
from training.config import RunConfig
from training.data.classes import ordered
from training.data.config import DATA_CONFIG, AutoConfig, DataConfig
from training.data.dataset import Attribute, Dataset
from training.data.generated_config import GeneratedConfig
from training.data.load import choose_reader, load
from training.data.merge import merge
from training.data.small_classes import merge_small
from training.data.split import split_users
from training.data.told import Told
from training.data.toml_text import toml_file
from training.data.trained_on import trained_on
from training.data.write import TableFormat, write_features, write_tables
from training.errors import ConfigError, DataError

CONFIG = "run.toml"


def pull(
    bundle: Bundle,
    told: Told,
    out: Path,
    *,
    config: RunConfig | None = None,
    data: Path | None = None,
    table_format: TableFormat = "parquet",
) -> Mapping[str, int]:
    """Write interactions, users, items, their features, and `CONFIG`: the bundle's own, with these as its data.

    Args:
        bundle: since when; what it was trained on is taken from it.
        told: what the service was told, also before.
        out: folder of the new files.
        config: in place of the configuration that is in the card.
        data: folder that the bundle was trained on, read in place of the bundle: it has the order of interactions.
        table_format: of the tables.

    Returns:
        How many rows came from where, in words.

    Raises:
        ConfigError: no configuration is known, item features are not to be had, or a file exists; nothing is written.
        DataError: ``data`` is not what the bundle was trained on.
        EvaluationError: the bundle alone does not suffice.
    """
    config = config or _of_card(bundle)
    read = _as_read(bundle, config, data)
    if read.modalities and data is None:
        problem = "is needed: this bundle was trained with item features, which no bundle keeps"
        raise ConfigError(
            "--data", problem, value=", ".join(read.modalities), allowed="the data that it was trained on"
        )
    trained = trained_on(bundle) if data is None else _the_same(load(read, data), bundle, data)
    merged = merge(trained, told, read.positive_at_least, counted := _counted(read))
    attributes = {each.name: _as_it_is(each) | counted.get(each.name, {}) for each in trained.attributes}
    named: dict[str, Any] = {
        "reader": "tables",
        "positive_at_least": read.positive_at_least,
        "min_positives": read.min_positives,
        **read.model_dump(mode="json", include={"only_groups", "core", "held_out"}, exclude_defaults=True),
        "missing": [],
        **{table: {"file": f"{table}.{table_format}"} for table in ("interactions", "users", "items")},
        "attributes": attributes,
    }
    target = out / CONFIG
    if target.exists():
        raise ConfigError("out", "exists already; nothing was written", value=target.name)
    if trained.modalities:
        named["modalities"] = write_features(trained, out)
        named |= {"cold": read.cold}
    write_tables(merged.tables, out, table_format)
    target.write_text(toml_file(config.model_dump(mode="json", exclude={"data"}) | {"data": named}), encoding="utf-8")
    return merged.counts


def _of_card(bundle: Bundle) -> RunConfig:
    try:
        return RunConfig.model_validate(bundle.card["run"])
    except (KeyError, ValidationError):
        problem = "is not in this bundle's card, or of another version of Evenhand"
        raise ConfigError("the configuration", problem, allowed="--config CONFIG.toml") from None


def _as_read(bundle: Bundle, config: RunConfig, data: Path | None) -> DataConfig:
    """How the data of the bundle was read: `auto` decides by the folder, and the card says how it did."""
    if "data" in bundle.card:
        read = DATA_CONFIG.validate_python(bundle.card["data"])
        if isinstance(read, GeneratedConfig) or read.attributes is None:
            return read
        ordered = {name: read.attributes[name] for name in bundle.description.attribute_names}  # JSON's are by name
        return read.model_copy(update={"attributes": ordered})
    if isinstance(config.data, AutoConfig) and data is None:
        problem = "does not say how the data was read, and neither does the card of this older bundle"
        raise ConfigError("data.reader", problem, value="auto", allowed="--config with the reader that was used")
    return choose_reader(config.data, data)


def _as_it_is(attribute: Attribute) -> dict[str, object]:
    """What a configuration must say of classes that are to stay: their order, where names do not say it, and merges."""
    named = in_order(attribute.classes) and ordered(attribute.classes) == attribute.classes
    declared = {} if named == attribute.ordered else {"ordered": attribute.ordered and list(attribute.classes)}
    return declared | ({"merged": dict(attribute.merged)} if attribute.merged else {})


def _counted(read: DataConfig) -> dict[str, dict[str, object]]:
    """Attributes that are counted from interactions, as a configuration has them."""
    if isinstance(read, GeneratedConfig) or read.attributes is None:
        return {}
    return {
        name: {"counts": of.counts, "edges": list(of.edges), "ordered": None}
        for name, of in read.attributes.items()
        if of.counts
    }


def _the_same(dataset: Dataset, bundle: Bundle, data: Path) -> Dataset:
    wanted = bundle.description.data.fingerprint
    dataset = merge_small(dataset, split_users(dataset.users, bundle.description.user_split_salt) == TRAIN)
    if dataset.fingerprint != wanted:
        problem = "is not what the bundle was trained on"
        raise DataError(data.name, problem, value=dataset.fingerprint[:16], allowed=f"fingerprint {wanted[:16]}")
    return dataset
