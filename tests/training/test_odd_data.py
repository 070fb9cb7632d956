"""Odd data of every kind ends in a bundle, or in one line before anything is trained.

``ODD_DATASETS=300`` draws so many sets of data instead of thirty, other ones each time.
"""

from __future__ import annotations

import os
import tempfile
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import polars as pl
import pytest
import torch
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from bundle import Bundle, read_bundle
from tests.training.odd_data import ODDITIES, Tables, odd
from training.config import RunConfig
from training.errors import TrainingError
from training.run import run

FEW = 30
COUNT = int(os.environ.get("ODD_DATASETS", FEW))
DRAWN = settings(
    max_examples=COUNT,
    deadline=None,
    derandomize=COUNT == FEW,
    print_blob=True,
    phases=[Phase.explicit, Phase.reuse, Phase.generate],  # what a seed makes is no simpler for a smaller seed
    suppress_health_check=list(HealthCheck),
)

SCHEDULE = {"epochs": 2}
BASES: tuple[dict[str, object], ...] = (
    {"model": "als", "iterations": 2},
    *({"model": model, "schedule": SCHEDULE} for model in ("pmf", "deep", "sasrec", "bert4rec")),
    {"model": "sasrec", "prism": {}, "schedule": SCHEDULE},
    *({"model": model, "schedule": SCHEDULE} for model in ("lightgcn", "mm_lattice", "freedom", "dragon", "mmgcn")),
    {"model": "vbpr", "feature_dimensions": 2, "schedule": SCHEDULE},
    *({"model": model, "schedule": SCHEDULE} for model in ("autorec", "multvae", "diffrec", "fairgan")),
)
READ_FEATURES = {"vbpr", "mm_lattice", "freedom", "dragon", "mmgcn"}
MODALITIES: dict[str, dict[str, object]] = {"looks": {}, "title": {"text": "title"}}
METHODS: tuple[dict[str, object], ...] = (
    {"method": "lattice"},
    {"method": "lattice", "strength": 3, "front": [0, 1]},
    {"method": "afrl", "schedule": SCHEDULE, "batch": 32},
    {"method": "ffvae", "schedule": SCHEDULE, "batch": 32, "hidden": 16},
    {"method": "sm", "schedule": SCHEDULE, "batch": 32},
    {"method": "sm", "variant": "combine", "schedule": SCHEDULE, "batch": 32},
    {"method": "lego", "schedule": SCHEDULE, "batch": 32},
    {"method": "pfrec", "schedule": SCHEDULE, "prompts": 2, "batch": 32},
    *({"method": method, "schedule": SCHEDULE, "batch": 32, "pairs": 4} for method in ("al", "cal", "fairgo")),
    {"method": "fmmrec", "schedule": SCHEDULE, "batch": 32, "pairs": 4, "modal_epochs": 2, "graph_users": 100},
)


@st.composite
def configurations(draw: st.DrawFn) -> dict[str, object]:
    """A base and a method in either mode, small."""
    base = draw(st.sampled_from(BASES))
    of_histories = base["model"] == "sasrec" and "prism" not in base
    methods = [each for each in METHODS if of_histories or each["method"] != "pfrec"]
    method = draw(st.sampled_from(methods))
    mode = "strict" if method["method"] == "lattice" else draw(st.sampled_from(["strict", "strict", "reproduce"]))
    return {
        "name": "odd",
        "mode": mode,
        "seed": draw(st.integers(0, 3)),
        "threads": 1,
        "new_users": draw(st.sampled_from([0.0, 0.0, 0.2])),
        "base": base | {"dimensions": draw(st.sampled_from([8, 8, 4]))},
        "fair": method,
        "export": {"parts": draw(st.sampled_from(["float32", "float16"]))},
    }


@pytest.fixture(scope="module")
def ends() -> Iterator[Counter[str]]:
    """How runs ended, counted and printed where many are drawn."""
    counted: Counter[str] = Counter()
    yield counted
    if COUNT != FEW:
        print(f"\n{sum(counted.values())} sets of data")  # noqa: T201
        for end, count in counted.most_common():
            print(f"{count:5}  {end}")  # noqa: T201


@DRAWN
@given(
    oddities=st.lists(st.sampled_from(sorted(ODDITIES)), max_size=2, unique=True),
    seed=st.integers(0, 9999),
    form=st.sampled_from(["csv", "parquet"]),
    config=configurations(),
)
def test_odd_data_gives_a_bundle_or_one_line_before_training(short_teachers, ends, oddities, seed, form, config):
    began: list[str] = []
    with tempfile.TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as patch:
        tables = odd(oddities, seed)
        tables.write(Path(folder), form)
        described(Path(folder), tables, seed)
        read = {"modalities": chosen(seed)} if reads_features(config) else {}
        whole = RunConfig.model_validate(config | {"data": {"reader": "tables", **tables.settings, **read}})
        watched(patch, began)

        ended = end_of(whole, Path(folder))

    if isinstance(ended, TrainingError):
        assert not began, f"trained before it refused: {ended}"
        assert str(ended).isprintable(), "more than one line"
        ends[kind(ended)] += 1
    else:
        assert ended.card["accuracy"]["by_mask"]
        ends[f"bundle: {whole.base.model}, {whole.fair.method}, {whole.mode}"] += 1


def described(folder: Path, tables: Tables, seed: int) -> None:
    """Write features of most items, one of which may stand out."""
    rng = np.random.default_rng(seed)
    items = [item for item in dict.fromkeys(tables.items) if item and rng.random() < 0.9]
    values = rng.normal(size=(len(items), 3)).astype(np.float32)
    values[:1] *= rng.choice([0.0, 1.0, 1e6])
    pl.DataFrame({"item": items, "vector": pl.Series(values.tolist(), dtype=pl.List(pl.Float32))}).write_parquet(
        folder / "features.looks.parquet"
    )


def chosen(seed: int) -> dict[str, dict[str, object]]:
    """Features, text now and then."""
    return {name: how for name, how in MODALITIES.items() if name == "looks" or seed % 4 == 0}


def reads_features(config: dict[str, dict[str, object]]) -> bool:
    """Whether base or method needs a modality."""
    base, method = config["base"], config["fair"]["method"]
    return base["model"] in READ_FEATURES or "prism" in base or method == "fmmrec"


def end_of(config: RunConfig, folder: Path) -> Bundle | TrainingError:
    """The bundle of a run, or its refusal; any other error is a traceback."""
    try:
        path = run(config, folder, folder / "out", torch.device("cpu"))
    except TrainingError as error:
        return error
    assert path is not None
    return read_bundle(path)


def watched(patch: pytest.MonkeyPatch, began: list[str]) -> None:
    """Note when the base begins to train."""
    from training import run as story

    train = story.train_base

    def noted(*arguments, **options):
        began.append("base")
        return train(*arguments, **options)

    patch.setattr(story, "train_base", noted)


def kind(error: TrainingError) -> str:
    """What was refused, without its numbers and values."""
    about = getattr(error, "what", None) or getattr(error, "problem", None) or getattr(error, "key", "")
    words = [word for word in str(about).replace("'", " ").split() if word.isalpha()]
    return f"{type(error).__name__}: {' '.join(words)[:70]}"
