"""One training run, as one TOML file."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, NonNegativeInt, PositiveInt, ValidationError, model_validator

from bundle.manifest import PlainName
from training.base.als import AlsConfig
from training.base.train import BaseConfig
from training.data.config import DataConfig
from training.errors import ConfigError
from training.fair.lattice.config import LatticeConfig
from training.fair.train import FairConfig
from training.refused import refusal, refuse_infinite, refuse_truth
from training.targets_config import BalanceConfig

AUDITED_AT_MOST = 10_000
"""Audit users that a card is over, unless told otherwise: an AUC is then known to ± .01."""


class ExportConfig(BaseModel):
    """How the trained models are written."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    parts: Literal["float32", "float16"] = "float32"
    """How parts of users are stored. `float16` halves what grows with users and attributes, and ends at 65504;
    the card is measured on what is stored."""


class RunConfig(BaseModel):
    """Everything a run depends on besides the data. Read once, never changed."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: PlainName
    """The bundle's name."""
    mode: Literal["strict", "reproduce"] = "strict"
    """`strict`: labels of train users only, chosen by accuracy and leakage. `reproduce`: the paper's protocol."""
    seed: NonNegativeInt = 2020
    split_salt: str = "evenhand"
    """Salt of the train / select / audit split of users."""
    new_users: float = Field(default=0.0, ge=0, le=0.2)
    """Share of users that the base never sees: they are folded in from their history, and audited as new users."""
    threads: NonNegativeInt = 0
    """Of torch and BLAS, on the CPU; 0 for all. The same seed and thread count give the same content hash."""
    profile: Literal["quick", "protected", "full"] = "quick"
    """How much the card measures: a quick look, one at what is protected alone, or everything a verdict needs."""
    audit_users: PositiveInt = AUDITED_AT_MOST
    """Audit users that the card is over, at most; of more, so many are drawn. Intervals are as wide as that makes them.
    In `reproduce` everybody is measured."""
    data: DataConfig
    base: BaseConfig = Field(default_factory=AlsConfig)
    fair: FairConfig = Field(default_factory=LatticeConfig)
    export: ExportConfig = Field(default_factory=ExportConfig)
    balance: BalanceConfig | None = None
    """Personal targets over item groups, for `balance=target`; absent: the bundle brings none."""

    @model_validator(mode="after")
    def _reproduce_is_the_paper(self) -> Self:
        if self.mode == "reproduce" and self.fair.method == "lattice":
            problem = "fair.method 'lattice' is no part of mode 'reproduce', the AFRL paper's protocol"
            raise ValueError(f"{problem}; allowed: mode 'strict', or another method")
        return self


def read_config(path: Path, settings: Sequence[str] = (), **overrides: object) -> RunConfig:
    """Read a run's TOML file.

    Args:
        path: the file.
        settings: lines as ``fair.adversary_weight=0.5`` that replace or add a key each.
        overrides: fields given on the command line; None leaves the file's value.

    Raises:
        ConfigError: unreadable, an unknown key, or a value that is not allowed; names the key.
    """
    raw = _toml(path)
    for setting in settings:
        _set(raw, setting)
    raw |= {key: value for key, value in overrides.items() if value is not None}
    return _read(raw, path)


def read_data_config(path: Path) -> RunConfig:
    """Read a run's TOML file, or one that has the `[data]` table alone.

    Raises:
        ConfigError: as `read_config`.
    """
    return _read({"name": "data"} | _toml(path), path)


def _read(raw: dict[str, Any], path: Path) -> RunConfig:
    refuse_infinite(raw)
    try:
        config = RunConfig.model_validate(raw)
    except ValidationError as error:
        raise refusal(RunConfig, error, str(path)) from None
    refuse_truth(raw, config)
    return config


def _toml(path: Path) -> dict[str, Any]:
    try:
        raw = tomllib.loads(path.read_text(encoding="utf-8-sig"))
    except OSError as error:
        raise ConfigError(str(path), "cannot be read", value=error.strerror) from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(str(path), "is not TOML", value=str(error)) from None
    if not raw:
        raise ConfigError(str(path), "is empty", allowed="the tables of training/configs/demo.toml, [data] at least")
    return raw


def _set(raw: dict[str, Any], setting: str) -> None:
    """Put one ``table.key=value`` into what was read; the value is TOML, a bare word is a string.

    Raises:
        ConfigError: no such line, or a key inside something that is no table.
    """
    key, equals, text = setting.partition("=")
    *tables, last = key.strip().split(".")
    if not equals or not all([*tables, last]):
        raise ConfigError("--set", "is no KEY=VALUE", value=setting, allowed="fair.adversary_weight=0.5")
    place = raw
    for name in tables:
        place = place.setdefault(name, {})
        if not isinstance(place, dict):
            raise ConfigError("--set", f"{name!r} is no table", value=setting)
    place[last] = _value(setting, text.strip())


def _value(setting: str, text: str) -> object:
    try:
        return tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        if re.fullmatch(r"[A-Za-z_][\w.-]*", text):
            return text
        raise ConfigError("--set", "has a value that is no TOML", value=setting) from None
