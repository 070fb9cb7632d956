"""From a `[data]` configuration to a `Dataset`: choose the reader, read, assemble."""

from collections.abc import Mapping
from pathlib import Path

from training.data.assemble import assemble
from training.data.config import (
    AttributeConfig,
    AutoConfig,
    DataConfig,
    GeneratedConfig,
    MovieLensConfig,
    TablesConfig,
)
from training.data.dataset import Dataset
from training.data.generated import generate
from training.data.movielens import is_movielens, read_movielens
from training.data.raw import RawTables
from training.data.tables import is_tables, read_tables
from training.errors import ConfigError, DataError


def load(config: DataConfig, folder: Path | None) -> Dataset:
    """Load a dataset.

    Args:
        config: which reader, and what it needs to know.
        folder: where the files are; None for generated data.

    Raises:
        ConfigError: the configuration and the folder do not fit together.
        DataError: a file is missing or malformed.
    """
    chosen = choose(config, folder)
    raw = read(chosen, folder)
    return assemble(raw, _selection(config, chosen), chosen.positive_at_least, chosen.min_positives)


def choose(config: DataConfig, folder: Path | None) -> MovieLensConfig | TablesConfig | GeneratedConfig:
    """Replace `auto` by the reader that fits the folder; return any other configuration as it is."""
    if not isinstance(config, AutoConfig):
        return config
    if folder is None:
        return GeneratedConfig.model_validate(config.chosen(leave_out=("attributes",)))
    if is_movielens(folder):
        return MovieLensConfig.model_validate(config.chosen())
    if is_tables(folder):
        return TablesConfig.model_validate(config.chosen())
    allowed = "MovieLens-1M or -100K, or interactions and users in .csv or .parquet"
    raise DataError(folder.name, "has no dataset that `auto` recognises", allowed=allowed)


def read(config: MovieLensConfig | TablesConfig | GeneratedConfig, folder: Path | None) -> RawTables:
    """Run one reader."""
    if isinstance(config, GeneratedConfig):
        if folder is not None:
            raise ConfigError("data.reader", "reads no folder", value=config.reader, allowed="movielens, tables, auto")
        return generate(config)
    if folder is None:
        raise ConfigError("data.reader", "needs a folder", value=config.reader, allowed="--data DIR")
    if not folder.is_dir():
        raise DataError(folder.name, "is not a folder")
    return read_movielens(folder) if isinstance(config, MovieLensConfig) else read_tables(folder, config)


def _selection(config: DataConfig, chosen: DataConfig) -> Mapping[str, AttributeConfig] | None:
    """Tell which attributes to keep; `auto` selects among those that generated users have."""
    if not isinstance(chosen, GeneratedConfig):
        return chosen.attributes
    return config.attributes if isinstance(config, AutoConfig) else None
