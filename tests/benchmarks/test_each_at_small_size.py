"""Every file of benchmarks/ that is a command runs here at a small size, through its own main()."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import pytest

from tests import nursery

ROOT = Path(__file__).resolve().parents[2]
pytestmark = pytest.mark.usefixtures("preloaded", "short_teachers")
COMMANDS = sorted(path.stem for path in ROOT.glob("benchmarks/*.py") if '__name__ == "__main__"' in path.read_text())

SMALL = {
    "activation": "--users 300 --items 200 --times 2",
    "afrl_training": "--bases bases --config ml1m-pmf-afrl-reproduce.toml --reference-steps 2 --speed-only",
    "audit_log": "--rows 5000 --seconds 0.2",
    "balanced": "--users 600 --seconds 1 --rounds 1",
    "cold_items": "--config cold.toml --seeds 1",
    "countries": "--users 400 --items 100 --config countries.toml",
    "data": "--interactions 5000",
    "fmmrec": "--config fmmrec.toml --out out --only fmmrec al --bases dragon",
    "gpu": "--items 2000",
    "diffusion": "--config diffusion.toml --out out --only own-mean posterior-component",
    "histories": "--items 200 --calls 15",
    "in_ucds": "--config in-ucds.toml --out out --seeds 1 --weights 1e-5 --only released --cards",
    "index": "--items 1500 --build-s 5",
    "itfr": "--config itfr.toml --out out --seeds 1 --only bpr itfr dpr --lattice",
    "lightgcn": "--users 100 --items 40 --interactions-per-user 10 --times 2",
    "lists": "--users 300 --items 500 --lists 200 --rounds 1",
    "million": "--users 400 --items 100 --threads 1 --seconds 1 --rounds 1 --config million.toml --masks ;gender",
    "paper": "--configs . --out out --bases bases --weights 0.1",
    "pot_au": "--config pot-au.toml --out out --bases als --only D2D --steps 2",
    "prism": "--config prism.toml --out out --seeds 1 --epochs 1 --long 2",
    "request": "--users 300 --seconds 1",
    "reranking": "bundles/small --candidates 15 --time-s 0.5",
    "scale": "--items 600 --attributes --tastes clustered --users 400 --threads 1 --seconds 1 --rounds 1",
    "scale_plots": "",
    "serving": "--users 600 --seconds 1 --rounds 1 --audit-priority normal",
    "storage": "bundles/small",
    "store": "--rows 5000 --seconds 0.2",
    "strict_methods": "--configs . --out out --bases pmf --salts d --quick",
    "table_quality": "--config ml1m-pmf-afrl-reproduce.toml --seeds 5",
    "workers": "--users 600 --seconds 1 --rounds 1",
    "tables": "--sizes 60x40x2000 600x200x3000 --seconds 0.2",
    "traces": "--users 600 --seconds 1 --rounds 1",
}
"""Benchmark → its arguments at a size that takes seconds, in a folder with what `given` puts there."""
MEASURE_A_BUNDLE = {"reranking", "storage"}
WHOLE = {"guard": "make bench-guard"}
"""Benchmark → how CI runs it whole."""
NEEDS_WRK = {"balanced", "million", "request", "scale", "serving", "traces", "workers"}
WRITES = {
    "afrl_training": "afrl_training.json",
    "cold_items": "cold-items.json",
    "in_ucds": "in-ucds.json",
    "paper": "paper-figures.md",
    "pot_au": "pot-au.json",
    "scale_plots": "scale-sizes.svg",
    "strict_methods": "strict-methods.md",
}
"""Benchmark → what it leaves, where that is not NAME.json."""
NOT_IN_BENCH_FULL = {
    "balanced",
    "gpu",
    "guard",
    "scale_plots",
    "afrl_training",
    "cold_items",
    "countries",
    "fmmrec",
    "in_ucds",
    "itfr",
    "paper",
    "pot_au",
    "diffusion",
    "million",
    "prism",
    "table_quality",
    "reranking",
    "strict_methods",
    "workers",
}
"""They need a GPU, run in CI, draw again what is there, need MovieLens, or take as long as all others together."""
NO_GPU = "nothing to measure here"
NO_LOOK = "py-spy cannot look into the service"

WITHIN_S = 560

RUN = """
name = "{name}"
mode = "{mode}"
seed = 5
threads = 1
profile = "protected"
[data]
reader = "generated"
users = 400
items = 40
interactions_per_user = 20
[data.attributes]
gender = {{ classes = ["F", "M"] }}
age = {{ classes = ["under 35", "35+"] }}
occupation = {{ classes = ["student", "other"] }}
[base]
model = "pmf"
dimensions = 8
learning_rate = 1e-2
batch = 512
schedule = {{ epochs = 1 }}
[fair]
method = "afrl"
learning_rate = 1e-3
batch = 64
pairs = 2
schedule = {{ epochs = 1 }}
"""
ITFR = (
    RUN.format(name="itfr", mode="strict")
    .replace("items = 40", "items = 120\nheld_out = { validation = 0.1, test = 0.2 }")
    .replace("schedule", 'objective = { kind = "itfr", users = ["gender"], items = ["Action", "Drama"] }\nschedule', 1)
    .split("[fair]")[0]
    + '[fair]\nmethod = "lattice"\n'
)
IN_UCDS = ITFR.replace('kind = "itfr", users = ["gender"], items = ["Action", "Drama"]', 'kind = "in_ucds"')
FMMREC = (
    RUN.format(name="fmmrec", mode="strict")
    .replace("items = 40", "items = 120\nmodalities.looks = {}\nheld_out = { validation = 0.1, test = 0.1 }")
    .split("[base]")[0]
    + '[base]\nmodel = "mm_lattice"\ndimensions = 8\nschedule = { epochs = 1 }\n'
    + '[fair]\nmethod = "fmmrec"\nmodal_epochs = 1\nadversary_steps = 1\nschedule = { epochs = 1 }\n'
)
POT_AU = RUN.format(name="pot-au", mode="reproduce").split("[fair]")[0] + (
    '[fair]\nmethod = "pot_au"\nprotect = ["gender"]\n'
)
DIFFUSION = (
    RUN.format(name="diffusion", mode="reproduce")
    .replace("items = 40", "items = 40\nheld_out = { validation = 0.1, test = 0.1 }")
    .split("[data.attributes]")[0]
    + """[data.attributes]
gender = { classes = ["F", "M"] }
[base]
model = "diffrec"
dimensions = 4
hidden = 8
item_biases = false
schedule = { epochs = 1 }
[fair]
method = "diffairec"
attribute = "gender"
schedule = { epochs = 1 }
"""
)
LATTICE = RUN.format(name="lattice", mode="strict").split("[fair]")[0] + '[fair]\nmethod = "lattice"\n'
COLD = (
    RUN.format(name="cold", mode="strict")
    .replace("items = 40", 'items = 120\nmodalities = { looks = {}, genres = { text = "groups" } }')
    .split("[base]")[0]
    + '[base]\nmodel = "als"\ndimensions = 8\n'
)
PRISM = (
    RUN.format(name="prism", mode="strict")
    .replace("items = 40", "items = 120\nmodalities = { looks = {}, sound = {} }")
    .split("[base]")[0]
    + '[base]\nmodel = "sasrec"\ndimensions = 8\nprism = {}\n[fair]\nmethod = "lattice"\n'
)
CONFIGS = {"ml1m-pmf-afrl-reproduce": "reproduce"}
"""Configuration → its mode."""


def run(*command: str, folder: Path) -> subprocess.CompletedProcess[str]:
    """To its end, with all that it started."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True, "start_new_session": True}
    with subprocess.Popen([sys.executable, *command], cwd=folder, env=environment, **pipes) as process:
        try:
            said = process.communicate(timeout=WITHIN_S)
        finally:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
    return subprocess.CompletedProcess(command, process.returncode, *said)


@pytest.fixture(scope="module")
def a_trained_folder(tmp_path_factory):
    """A version of a bundle, for the benchmarks that measure a trained one."""
    folder = tmp_path_factory.mktemp("trained")
    (folder / "small.toml").write_text(RUN.format(name="small", mode="strict"))
    with nursery.preloaded():
        trained = run("-m", "training", "run", "small.toml", "--out", "bundles", "--device", "cpu", folder=folder)
    assert trained.returncode == 0, trained.stderr
    return folder / "bundles"


@pytest.fixture
def given(tmp_path):
    """A folder with configurations that train for a second."""
    for name, mode in CONFIGS.items():
        (tmp_path / f"{name}.toml").write_text(RUN.format(name=name, mode=mode))
    return tmp_path


def prepared(name: str, folder: Path) -> None:
    """Put there what a benchmark starts from."""
    if name == "cold_items":
        (folder / "cold.toml").write_text(COLD)
    if name == "countries":
        text = (ROOT / "benchmarks/countries.toml").read_text()
        assert "front = [0, 1, 2, 4, 8]" in text
        (folder / "countries.toml").write_text(text.replace("[0, 1, 2, 4, 8]", "[0, 1]"))
    if name == "million":
        text = (ROOT / "benchmarks/million.toml").read_text()
        assert 'profile = "quick"' in text
        (folder / "million.toml").write_text(text.replace('"quick"', '"protected"'))
    if name == "fmmrec":
        (folder / "fmmrec.toml").write_text(FMMREC)
    if name == "itfr":
        (folder / "itfr.toml").write_text(ITFR)
    if name == "in_ucds":
        (folder / "in-ucds.toml").write_text(IN_UCDS)
    if name == "pot_au":
        (folder / "pot-au.toml").write_text(POT_AU)
    if name == "prism":
        (folder / "prism.toml").write_text(PRISM)
    if name == "diffusion":
        (folder / "diffusion.toml").write_text(DIFFUSION)
    if name == "strict_methods":
        (folder / "ml1m-pmf-lattice.toml").write_text(LATTICE)
    if name == "scale_plots":
        shutil.copy(ROOT / "benchmarks/results/scale.json", folder)


def test_every_benchmark_has_a_small_size_or_runs_whole_in_ci():
    assert sorted([*SMALL, *WHOLE]) == COMMANDS
    assert all(command in (ROOT / ".ci/run").read_text() for command in WHOLE.values())


def test_all_that_need_neither_a_gpu_nor_movielens_are_in_bench_full():
    (listed,) = re.findall(r"for name in ([a-z_ ]+);", (ROOT / "Makefile").read_text())

    assert sorted(listed.split()) == [name for name in COMMANDS if name not in NOT_IN_BENCH_FULL]


@pytest.mark.parametrize("name", [name for name in COMMANDS if name not in WHOLE])
def test_a_benchmark_runs_at_a_small_size_and_leaves_its_results(given, request, name):
    if name in NEEDS_WRK and not shutil.which("wrk"):
        pytest.skip("wrk is not installed")
    prepared(name, given)
    if name in MEASURE_A_BUNDLE:
        shutil.copytree(request.getfixturevalue("a_trained_folder"), given / "bundles")

    command = [str(ROOT / "benchmarks" / f"{name}.py"), *SMALL[name].split(), "--results", "."]
    done = run(*command, folder=given)

    if NO_LOOK in done.stderr:
        pytest.skip(done.stderr)
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-4000:]
    left = given / WRITES.get(name, f"{name}.json")
    assert left.exists() or (name == "gpu" and NO_GPU in done.stdout)


def test_the_figures_of_the_paper_can_be_drawn_again_from_the_numbers_that_are_kept(tmp_path):
    code = "import json, sys, pathlib, figures; figures.write_figures(json.load(sys.stdin), pathlib.Path('.'))"
    points = (ROOT / "docs/results/paper-figures.json").read_text()
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "benchmarks")}

    subprocess.run([sys.executable, "-c", code], cwd=tmp_path, env=environment, input=points, text=True, check=True)

    names = {path.name for path in tmp_path.iterdir()}
    assert names == {"paper-front.svg", "paper-curves.svg", "paper-figures.md"}
    assert (tmp_path / "paper-figures.md").read_text() == (ROOT / "docs/results/paper-figures.md").read_text()


def test_the_page_of_the_scale_benchmark_can_be_written_again_from_the_numbers_that_are_kept():
    code = "import json, sys, scale_table; print(scale_table.as_text(json.load(sys.stdin)))"
    numbers = (ROOT / "benchmarks/results/scale.json").read_text()
    environment = {**os.environ, "PYTHONPATH": f"{ROOT}:{ROOT / 'benchmarks'}"}

    command = [sys.executable, "-c", code]
    done = subprocess.run(command, env=environment, input=numbers, capture_output=True, text=True, check=True)

    assert done.stdout.strip() in (ROOT / "benchmarks/results/scale.md").read_text()


def test_results_of_a_smaller_size_never_replace_those_of_the_full_one(monkeypatch):
    monkeypatch.syspath_prepend(ROOT / "benchmarks")
    from command import RESULTS, SMALLER, Command

    made = Command("A benchmark.")
    made.add_size("--rows", type=int, default=1_000_000)
    made.add_argument("url", nargs="?")

    assert made.options([]).results == made.options(["sqlite://"]).results == RESULTS
    assert made.options(["--rows", "5000"]).results == SMALLER
