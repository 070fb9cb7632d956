"""From a `[data]` configuration to a `Dataset`: choose the reader, read, assemble."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from training.data.activity import count_by_user, middle, with_counts
from training.data.assemble import assemble
from training.data.common_config import AttributeConfig, CommonConfig
from training.data.config import AutoConfig, DataConfig, MovieLensConfig, TablesConfig
from training.data.dataset import Dataset
from training.data.features import features_in, features_of
from training.data.generated import generate
from training.data.generated_config import GeneratedConfig
from training.data.movielens import has_users, is_movielens, read_movielens
from training.data.movielens_extras import with_extras
from training.data.raw import RawTables
from training.data.recognise import recognise_tables
from training.data.tables import read_tables
from training.data.vector_ids import VectorIds
from training.errors import ConfigError, DataError

FOLDER_ALONE = ("csv", "interactions", "users", "items")
NO_USERS = 'a users table, or `activity = { counts = "interactions", edges = [20] }` in [data.attributes]'


def load(config: DataConfig, folder: Path | None, vectors: VectorIds | None = None) -> Dataset:
    """Load a dataset.

    Args:
        config: which reader, and what it needs to know.
        folder: where the files are; None for generated data.
        vectors: ids of vectors that were brought; interactions may then be missing.

    Raises:
        ConfigError: the configuration and the folder do not fit together.
        DataError: a file is missing or malformed.
    """
    chosen = choose_reader(config, folder, interactions_wanted=vectors is None)
    if vectors is not None:
        _refuse_narrowing(chosen)
    selection = _selection(config, chosen)
    raw = read(chosen, folder, interactions_wanted=vectors is None)
    if raw.users.frame.is_empty() and (selection is None or any(not of.counts for of in selection.values())):
        raise DataError(raw.source, "has no users table, so there is no attribute", allowed=NO_USERS)
    return assemble(
        with_counts(raw, selection),
        selection,
        chosen.positive_at_least,
        chosen.min_positives,
        vectors,
        chosen.only_groups,
        chosen.core,
        chosen.classes_at_least,
        features_of(chosen, folder, raw),
        chosen.cold,
    )


def _refuse_narrowing(chosen: MovieLensConfig | TablesConfig | GeneratedConfig) -> None:
    """Vectors were trained on what they were trained on."""
    for name, value, nothing in (("only_groups", chosen.only_groups, ()), ("core", chosen.core, 1)):
        if value != nothing:
            problem = "leaves out items and users, which brought vectors cannot be trained again without"
            raise ConfigError(f"data.{name}", problem, value=value, allowed="nothing, or a base that is trained here")


def choose_reader(
    config: DataConfig, folder: Path | None, *, interactions_wanted: bool = True
) -> MovieLensConfig | TablesConfig | GeneratedConfig:
    """Replace `auto` by the reader that fits the folder; return any other configuration as it is.

    Raises:
        ConfigError: files are configured and there is no folder.
        DataError: the folder has nothing that can be read, or a file of it is damaged.
    """
    if isinstance(config, TablesConfig | GeneratedConfig):
        return config
    said = config.model_dump(exclude_unset=True, exclude={"reader"})
    if folder is None and isinstance(config, AutoConfig):
        return _generated(said)
    if folder is None:
        return MovieLensConfig.model_validate({"reader": "movielens", **said})
    if not folder.is_dir():
        raise DataError(folder.name, "is not a folder")
    if isinstance(config, AutoConfig) and "modalities" not in said and (features := features_in(folder)):
        said["modalities"] = features
    if is_movielens(folder) and not said.keys() & set(FOLDER_ALONE):
        fields = {"reader": "movielens", **said}
        if not has_users(folder) and said.get("attributes") is None:
            fields = {"min_positives": 3, **fields}
            fields["attributes"] = _activity(MovieLensConfig.model_validate(fields), folder)
        return MovieLensConfig.model_validate(fields)
    found = recognise_tables(folder, said)
    if found is None:
        if isinstance(config, MovieLensConfig):
            return config
        if not interactions_wanted:
            return TablesConfig.model_validate({"reader": "tables", **said})
        allowed = "MovieLens, RecBole's atomic files, or interactions and users in .csv or .parquet"
        raise DataError(folder.name, "has no dataset that `auto` recognises", allowed=allowed)
    fields = _merged({"reader": "tables"} | found, said)
    if fields.get("attributes") is None:
        counted = TablesConfig.model_validate(fields | {"attributes": {}})
        fields["attributes"] = _activity(counted, folder)
    return TablesConfig.model_validate(fields)


def read(
    config: MovieLensConfig | TablesConfig | GeneratedConfig, folder: Path | None, *, interactions_wanted: bool = True
) -> RawTables:
    """Run one reader."""
    if isinstance(config, GeneratedConfig):
        if folder is not None:
            raise ConfigError("data.reader", "reads no folder", value=config.reader, allowed="movielens, tables, auto")
        return generate(config)
    if folder is None:
        raise ConfigError("data.reader", "needs a folder", value=config.reader, allowed="--data DIR")
    if not folder.is_dir():
        raise DataError(folder.name, "is not a folder")
    if isinstance(config, MovieLensConfig):
        raw = read_movielens(folder, config.missing)
        if config.extras is not None:
            raw = with_extras(raw, folder / config.extras, config.missing)
    else:
        raw = read_tables(folder, config, interactions_wanted=interactions_wanted)
    return replace(raw, interactions=replace(raw.interactions, drop_unknown=config.unknown_users == "drop"))


def _generated(said: Mapping[str, Any]) -> GeneratedConfig:
    for name in FOLDER_ALONE:
        if name in said:
            raise ConfigError(f"data.{name}", "needs a folder", allowed="--data DIR")
    common = {name: said[name] for name in CommonConfig.model_fields if name in said}
    return GeneratedConfig.model_validate(common)


def _merged(found: Mapping[str, Any], said: Mapping[str, Any]) -> dict[str, Any]:
    """What was said in place of what was found, table by table."""
    both = {
        name: _merged(found[name], said[name]) for name in said if _is_table(found.get(name)) and _is_table(said[name])
    }
    return {**found, **said, **both}


def _is_table(value: object) -> bool:
    return isinstance(value, Mapping)


def _activity(config: MovieLensConfig | TablesConfig, folder: Path) -> dict[str, Any]:
    """What stands in for attributes where nothing is known of users: how active they are, in two classes."""
    _, counts = count_by_user(read(config, folder).interactions)
    kept = counts[counts >= config.min_positives]
    edge = middle(kept) if len(kept) else None
    return {} if edge is None else {"activity": {"counts": "interactions", "edges": [edge]}}


def _selection(config: DataConfig, chosen: DataConfig) -> Mapping[str, AttributeConfig] | None:
    """Tell which attributes to keep; `auto` selects among those that generated users have."""
    if not isinstance(chosen, GeneratedConfig):
        return chosen.attributes
    return config.attributes if isinstance(config, AutoConfig) else None
