"""The same seed and thread count give the same bundle, for every base and method, with one thread and with two.

The gradient of ``table[rows]`` adds up what several rows bring to one entry in the order in which threads come; that of
`torch.nn.functional.embedding` does not (torch 2.13).
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import threadpoolctl
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from training.base.train import train_base
from training.card import make_card
from training.config import RunConfig
from training.data.load import load
from training.data.split import hold_out, split_users
from training.experiment import Experiment
from training.fair.train import train_fair
from training.run import run

pytestmark = pytest.mark.usefixtures("short_teachers")

ROOT = Path(__file__).parents[2]
ONCE = {"epochs": 2, "validate_every": 2}
TABLE = {"dimensions": 64, "learning_rate": 1e-2, "batch": 1024, "schedule": {"epochs": 10, "validate_every": 10}}
"""So many numbers in a batch that two threads share the additions, and so many batches that they meet."""
SEQUENCE = {"dimensions": 32, "length": 20, "hidden": 32, "batch": 256, "schedule": ONCE}
ROWS = {"dimensions": 64, "batch": 128, "schedule": ONCE}
BASES = {
    "als": {"dimensions": 16, "iterations": 3},
    "pmf": TABLE,
    "deep": TABLE | {"candidates": 20},
    "sasrec": SEQUENCE,
    "bert4rec": SEQUENCE,
    "vbpr": TABLE,
    "lightgcn": {"dimensions": 64, "steps": 6, "schedule": ONCE},
    "autorec": ROWS,
    "multvae": ROWS | {"hidden": 128},
    "diffrec": ROWS | {"hidden": 128},
    "fairgan": ROWS,
    "mm_lattice": {"dimensions": 64, "steps": 6, "schedule": ONCE},
    "freedom": {"dimensions": 64, "steps": 6, "schedule": ONCE},
    "dragon": {"dimensions": 64, "steps": 6, "schedule": ONCE},
    "mmgcn": {"dimensions": 64, "steps": 6, "schedule": ONCE},
}
METHODS = {
    "lattice": {"leakage_at_most": 1.0},
    "afrl": {"batch": 512, "pairs": 8, "schedule": ONCE},
    "ffvae": {"hidden": 32, "schedule": ONCE},
    "lego": {"hidden": 32, "estimator_steps": 1, "schedule": ONCE},
    "sm": {"adversary_steps": 1, "schedule": ONCE},
    "pfrec": {"prompts": 2, "moments": 1, "schedule": ONCE},
    "pot_au": {"batch": 128, "schedule": ONCE},
    "diffairec": {"attribute": "gender", "width": 64, "condition_hidden": 16, "batch": 128, "schedule": ONCE},
    "al": {"adversary_steps": 1, "schedule": ONCE},
    "cal": {"adversary_steps": 1, "schedule": ONCE},
    "fairgo": {"adversary_steps": 1, "schedule": ONCE},
    "fmmrec": {"adversary_steps": 1, "modal_epochs": 2, "schedule": ONCE},
}
FILTERED = {"al": "als", "cal": "sasrec", "fairgo": "pmf", "fmmrec": "mm_lattice"}
"""Methods of one stage, each over one base."""
BIASED = ("vbpr", "autorec", "multvae", "diffrec", "fairgan")
PAIRS = [
    (base, method)
    for base in BASES
    for method in METHODS
    if (method != "pfrec" or base == "sasrec")
    and (base not in BIASED or method == "lattice")
    and method != "diffairec"
    and FILTERED.get(method, base) == base
]
EACH = [
    ("als", "sm"),
    ("pmf", "pot_au"),
    ("deep", "afrl"),
    ("sasrec", "pfrec"),
    ("bert4rec", "ffvae"),
    ("vbpr", "lattice"),
    ("lightgcn", "lego"),
    ("lightgcn", "cal"),
    ("als", "al"),
    ("pmf", "fairgo"),
    ("autorec", "lattice"),
    ("multvae", "lattice"),
    ("diffrec", "diffairec"),
    ("fairgan", "lattice"),
    ("mm_lattice", "fmmrec"),
    ("freedom", "lattice"),
    ("dragon", "lattice"),
    ("mmgcn", "lattice"),
]
"""Every base and every method once: the code of a method is the same over each base."""
VARIANTS = [
    ("sasrec", {"loss": "binary"}, "ffvae", {}),
    ("sasrec", {"prism": {}}, "ffvae", {}),
    ("bert4rec", {"prism": {"modalities": ["sound"]}}, "ffvae", {}),
    ("bert4rec", {"loss": "last"}, "ffvae", {}),
    ("pmf", {}, "sm", {"variant": "combine"}),
    ("pmf", {}, "afrl", {"without": "shared"}),
    ("sasrec", {}, "pfrec", {"user_prompts": True}),
    ("multvae", {"item_biases": False}, "afrl", {}),
    ("diffrec", {"item_biases": False}, "diffairec", {"condition": "own"}),
]
"""Ways through the code that the pairs above do not take."""
GENERATED = {
    "reader": "generated",
    "users": 300,
    "items": 60,
    "interactions_per_user": 20,
    "seed": 3,
    "attributes": {
        "gender": {"classes": ["F", "M"], "strength": 0.6},
        "age": {"classes": ["young", "old"], "strength": 0.6},
    },
}


def configuration(base, method, base_changes=None, changes=None, **fields):
    reads = base in ("vbpr", "mm_lattice", "freedom", "dragon", "mmgcn") or "prism" in (base_changes or {})
    features = {"modalities": {"looks": {}, "sound": {}}} if reads else {}
    fields |= {"name": "short", "seed": 5, "data": GENERATED | features}
    fields["base"] = {"model": base, **BASES[base], **(base_changes or {})}
    if method == "diffairec":
        fields["base"]["item_biases"] = False
    fields["fair"] = {"method": method, **METHODS[method], **(changes or {})}
    chosen = fields["fair"]
    own_labels = method == "pot_au" or chosen.get("user_prompts") or chosen.get("condition") == "own"
    fields["mode"] = "reproduce" if own_labels else "strict"
    return RunConfig.model_validate(fields)


def content_of(path):
    return {name: spec["sha256"] for name, spec in json.loads((path / "manifest.json").read_text())["files"].items()}


@pytest.mark.parametrize(("key", "here"), [("model", BASES), ("method", METHODS)])
def test_every_base_and_method_is_here(key, here):
    tables = RunConfig.model_json_schema()["$defs"].values()

    named = {each["properties"][key]["const"] for each in tables if key in each["properties"]}
    assert named - {"vectors"} == set(here), "vectors are brought, not trained"
    assert {pair[key == "method"] for pair in EACH} == set(here)


@pytest.mark.parametrize(("base", "method"), EACH)
def test_two_runs_with_two_threads_write_the_same_files(base, method, tmp_path, cpu, a_quick_card):
    config = configuration(base, method, threads=2)

    first, second = (content_of(run(config, None, tmp_path / name, cpu)) for name in ("first", "second"))

    assert first == second
    assert "card.json" in first


def test_two_runs_that_read_features_along_write_the_same_files(tmp_path, cpu, a_quick_card):
    config = configuration("sasrec", "lattice", {"prism": {}}, threads=2)

    first, second = (content_of(run(config, None, tmp_path / name, cpu)) for name in ("first", "second"))

    assert first == second


COMMAND = """
name = "short"
threads = 2
profile = "protected"
data = { reader = "generated", users = 300, items = 60, interactions_per_user = 20, seed = 3, attributes.gender = { \
classes = ["F", "M"], strength = 0.6 }, attributes.age = { classes = ["young", "old"], strength = 0.6 } }
base = { model = "pmf", dimensions = 32, learning_rate = 1e-2, batch = 4096, schedule = { epochs = 2 } }
fair = { method = "lattice" }
"""
WITH_SHORT_TEACHERS = """
import sys
from training.__main__ import main
from training.fair.lattice import scores
scores.LINEAR_EPOCHS = scores.MLP_EPOCHS = scores.FEWEST_STEPS = 2
scores.STUDENT_STEPS = 20
if __name__ == "__main__":
    sys.exit(main())
"""
"""In place of `-m training`: learning takes most of the time, and each step is the same code as the one before."""


@pytest.mark.usefixtures("preloaded")
def test_the_command_writes_the_same_files_in_two_processes_that_order_sets_in_two_ways(tmp_path):
    """Two threads train, two processes measure the card. A fork has drawn the order of its sets by itself."""
    (tmp_path / "short.toml").write_text(COMMAND)
    found = []
    for kind, order in (("process", {"PYTHONHASHSEED": "1"}), ("fork", {})):
        options = ["run", "short.toml", "--out", kind, "--device", "cpu"]
        command = [sys.executable, "-c", WITH_SHORT_TEACHERS, *options]
        environment = {**os.environ, **order, "PYTHONPATH": str(ROOT)}
        done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=300)
        assert done.returncode == 0, done.stderr
        (manifest,) = tmp_path.glob(f"{kind}/short/*/manifest.json")
        found.append(content_of(manifest.parent))

    assert found[0] == found[1]


class OrderOfThreads(TorchDispatchMode):
    """Collects the operations that add more than once into an entry, in whatever order the threads come."""

    def __init__(self):
        super().__init__()
        self.found = []

    def __torch_dispatch__(self, function, types, arguments=(), keywords=None):
        name = function.overloadpacket.__name__
        if name.strip("_").removesuffix("_impl") in ("index_put", "unsafe_index_put"):
            table, indices, _, accumulate = (*arguments, False)[:4]
            if accumulate:
                ones = torch.zeros(table.shape, dtype=torch.int32)
                added = ones.index_put(indices, torch.ones((), dtype=torch.int32), accumulate=True)
                if int(added.max()) > 1:
                    self.found.append((name, tuple(table.shape)))
        return function(*arguments, **(keywords or {}))


@pytest.mark.parametrize(("rows", "found"), [([3, 1, 3], 1), ([3, 1, 2], 0)])
def test_an_entry_that_is_added_to_twice_is_found(rows, found):
    table = torch.zeros(5, 2, requires_grad=True)

    with OrderOfThreads() as order:
        table[torch.tensor(rows)].sum().backward()

    assert len(order.found) == found


@pytest.fixture(scope="module")
def a_base(tmp_path_factory):
    """The builder of trained bases, each trained once: the experiment, the base, and what was found in its training."""
    trained = {}

    def build(config):
        key = config.mode, config.base.model_dump_json()
        if key not in trained:
            dataset = load(config.data, None)
            experiment = Experiment(dataset, hold_out(dataset), split_users(dataset.users, "s"), config.mode, 5)
            path = tmp_path_factory.mktemp("base") / "base.safetensors"
            with OrderOfThreads() as order:
                trained[key] = experiment, train_base(experiment, config.base, path, torch.device("cpu")), order.found
        return trained[key]

    return build


@pytest.mark.parametrize(
    ("base", "base_changes", "method", "changes"), [(base, {}, method, {}) for base, method in PAIRS] + VARIANTS
)
def test_no_gradient_is_added_up_in_the_order_of_threads(base, base_changes, method, changes, a_base, tmp_path, cpu):
    config = configuration(base, method, base_changes, changes)
    experiment, trained, found = a_base(config)

    with OrderOfThreads() as order:
        train_fair(experiment, trained, config.fair, tmp_path, cpu)

    assert not found
    assert not order.found


def test_a_run_computes_with_the_threads_of_its_configuration_in_torch_and_in_blas(a_run, out, cpu, monkeypatch):
    threads = set()

    def look(*arguments):
        threads.add(torch.get_num_threads())
        threads.update(each["num_threads"] for each in threadpoolctl.threadpool_info() if each["user_api"] == "blas")
        return make_card(*arguments)

    monkeypatch.setattr("training.run.make_card", look)
    torch.set_num_threads(1)
    with threadpoolctl.threadpool_limits(2, "blas"):
        run(a_run(threads=1), None, out / "one", cpu)
        assert threads == {1}
        threads.clear()

    with threadpoolctl.threadpool_limits(1, "blas"):
        run(a_run(threads=2), None, out / "two", cpu)

    assert threads == {2}
    assert torch.get_num_threads() == 1
