"""Odd data of every kind ends in a bundle, or in one line before anything is trained.

``ODD_DATASETS=300`` draws so many sets of data instead of thirty, other ones each time.
"""

from __future__ import annotations

import os
import tempfile
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from bundle import Bundle, read_bundle
from tests.training.odd_data import ODDITIES, odd
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
)
MODALITIES = {"groups": {"text": "groups"}, "title": {"text": "title"}}
METHODS: tuple[dict[str, object], ...] = (
    {"method": "lattice"},
    {"method": "lattice", "strength": 3, "front": [0, 1]},
    {"method": "afrl", "schedule": SCHEDULE, "batch": 32},
    {"method": "ffvae", "schedule": SCHEDULE, "batch": 32, "hidden": 16},
    {"method": "sm", "schedule": SCHEDULE, "batch": 32},
    {"method": "sm", "variant": "combine", "schedule": SCHEDULE, "batch": 32},
    {"method": "lego", "schedule": SCHEDULE, "batch": 32},
    {"method": "pfrec", "schedule": SCHEDULE, "prompts": 2, "batch": 32},
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
        read = {"modalities": MODALITIES} if "prism" in config["base"] else {}
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
