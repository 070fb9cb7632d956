"""A configuration that is wrong is refused in one line: the key as the file has it, the value, and what is allowed."""

from __future__ import annotations

from pathlib import Path

import pytest

from training.config import read_config
from training.errors import ConfigError

BASE = 'model = "multvae"'
FAIR = 'method = "lattice"'


@pytest.fixture
def refused(tmp_path: Path):
    """The refusal of a file with these tables."""

    def read(*, base: str = BASE, fair: str = FAIR, data: str = "", top: str = "") -> ConfigError:
        path = tmp_path / "run.toml"
        tables = ['name = "n"', top, "[data]", 'reader = "generated"', data, "[base]", base, "[fair]", fair]
        path.write_text("\n".join(tables))
        with pytest.raises(ConfigError) as refusal:
            read_config(path)
        return refusal.value

    return read


@pytest.mark.parametrize(
    ("tables", "key", "among"),
    [
        ({"top": "sede = 3"}, "sede", {"name", "seed", "base"}),
        ({"data": "user = 3"}, "data.user", {"users", "items", "cold_items"}),
        ({"base": f"{BASE}\ndimension = 8"}, "base.dimension", {"dimensions", "divergence_weight"}),
        ({"base": 'model = "diffrec"\nschedule = { epoch = 1 }'}, "base.schedule.epoch", {"epochs", "patience"}),
        ({"base": 'model = "fairgan"\nalpha = 1'}, "base.alpha", {"fairness_weight", "masked"}),
        ({"base": "dimension = 8"}, "base.dimension", {"dimensions", "iterations"}),
        ({"base": 'model = "pmf"\nobjective = { kind = "itfr", user = ["a"] }'}, "base.objective.user", {"users"}),
        ({"fair": 'method = "lego"\ninfo_weight = 1'}, "fair.info_weight", {"information_weight"}),
        ({"fair": 'method = "cal"\nprotect = ["gender"]'}, "fair.protect", {"user_weight"}),
        ({"data": '[data.modalities]\nplot = { texts = "t" }'}, "data.modalities.plot.texts", {"text", "file"}),
        ({"data": '[data.attributes.a]\nclasses = ["x", "y"]\nshare = [1, 2]'}, "data.attributes.a.share", {"shares"}),
    ],
)
def test_a_misspelt_key_is_refused_with_those_that_are_known(refused, tables, key, among):
    error = refused(**tables)
    assert error.key == key
    assert error.problem == "is not known"
    assert error.allowed is not None
    assert among <= set(error.allowed.split(", "))


@pytest.mark.parametrize(
    ("tables", "key", "says"),
    [
        ({"base": 'model = "multivae"'}, "base.model", "'multivae' is not known; allowed: als, pmf"),
        ({"fair": "strength = 1"}, "fair.method", "is missing"),
        ({"fair": 'method = "diffairec"'}, "fair.attribute", "is missing"),
        ({"base": f"{BASE}\nschedule = 3"}, "base.schedule", "3 is no table; allowed: a table of epochs, minutes"),
        ({"data": "attributes = 3"}, "data.attributes", "3 is no table; allowed: a table"),
        ({"fair": 'method = "al"\nprotect = "gender"'}, "fair.protect", "'gender' is no list; allowed: a list"),
        ({"fair": f"{FAIR}\ndither = -0.1"}, "fair.dither", "-0.1 Input should be greater than or equal to 0"),
        ({"fair": f"{FAIR}\ndither = 1e300"}, "fair.dither", "1e+300 Input should be less than or equal to 1"),
        ({"fair": f"{FAIR}\ndither = inf"}, "fair.dither", "inf is no finite number; allowed: a finite number"),
        ({"fair": f"{FAIR}\ndither = true"}, "fair.dither", "True is no number; allowed: a number"),
        ({"fair": f"{FAIR}\nfront = [1, -1]"}, "fair.front.1", "-1 Input should be greater than or equal to 0"),
        ({"fair": f"{FAIR}\nfront = [1, true]"}, "fair.front.1", "True is no number"),
        ({"base": f"{BASE}\nlearning_rate = inf"}, "base.learning_rate", "inf is no finite number"),
        ({"base": f"{BASE}\ndimensions = 1000000000"}, "base.dimensions", "less than or equal to 16777216"),
        ({"base": 'model = "diffrec"\nleast_noise = 0.5'}, "base", "least_noise 0.5 is not below most_noise"),
        (
            {"base": 'model = "fairgan"\nfairness_weight = -1'},
            "base.fairness_weight",
            "-1 Input should be greater than",
        ),
        ({"base": 'model = "fairgan"\npenalty_weight = 0'}, "base.penalty_weight", "0 Input should be greater than 0"),
        ({"base": 'model = "fairgan"\nmasked = 3'}, "base.masked", "3 "),
        ({"data": '[data.modalities]\n"Plot 1" = { text = "t" }'}, "data.modalities.Plot 1", "Plot 1: 'Plot 1' cannot"),
    ],
)
def test_a_wrong_value_is_refused_by_the_key_that_the_file_has(refused, tables, key, says):
    error = refused(**tables)
    assert error.key == key
    assert says in str(error)


def test_what_no_key_alone_is_to_blame_for_is_refused_by_the_name_of_the_file(refused):
    error = refused(top='mode = "reproduce"')
    assert error.key.endswith("run.toml")
    assert "fair.method 'lattice' is no part of mode 'reproduce'" in str(error)
    assert "allowed: mode 'strict', or another method" in str(error)
