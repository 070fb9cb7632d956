"""The paper's table from cards: which figure stands where, and what is refused."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from bundle import write_bundle
from measure.masks import masks_to_measure
from training.errors import EvaluationError
from training.table import ALL, write_table

MASKS = [mask for mask in masks_to_measure(ALL) if mask]


@pytest.fixture
def a_version(a_bundle, tmp_path):
    """The builder of written bundles whose card holds figures that name their own place."""

    def build(base_model="pmf", method="afrl", mode="reproduce", shift=0.0, **options):
        bundle = a_bundle(name=f"{base_model}-{method}-{mode}", attributes=ALL, **options)
        names = {"method": method, "mode": mode, "base_model": base_model}
        near = {"ndcg@10": 0.3 + shift, "hit@10": 0.6}
        leaks = [
            {"sensitive": list(mask), "attribute": name, "target": "fair", "strongest": {"auc": 0.5 + 0.1 * index}}
            for mask in MASKS
            for index, name in enumerate(ALL)
        ]
        leaks += [
            {"sensitive": [], "attribute": name, "target": "base", "strongest": {"auc": 0.9 - 0.1 * index}}
            for index, name in enumerate(ALL)
        ]
        card = {
            "accuracy": {
                "by_mask": [
                    {"sensitive": list(mask), "sampled": near, "base": {"sampled": {"ndcg@10": 0.4, "hit@10": 0.7}}}
                    for mask in [(), *MASKS]
                ]
            },
            "leakage": {"by_mask": leaks},
            "reference": {"by_mask": [{"sensitive": list(mask), "mean": 0.52, "base": 0.71} for mask in MASKS]},
        }
        changed = replace(bundle, description=bundle.description.model_copy(update=names), card=card)
        return write_bundle(changed, tmp_path / "bundles")

    return build


def line(page, start, section):
    rows = page.split(f"## {section}\n")[1].split("## ")[0].splitlines()
    return next(row for row in rows if row.startswith(f"| {start} |")).split(" | ")


def test_each_figure_stands_in_its_place(a_version, tmp_path):
    page = write_table([a_version(), a_version(method="sm", shift=-0.1)], tmp_path / "out").read_text("utf-8")

    _, base, sm, ffvae, afrl = line(page, "gender + age", "PMF")
    assert base == "0.7100 / 0.4000 / 0.7000; **0.850**"
    assert sm == "0.5200 / 0.2000 / 0.6000; **0.550**"
    assert ffvae == "*not run*"
    assert afrl == "0.5200 / 0.3000 / 0.6000; **0.550** |"
    assert line(page, "gender", "SASRec")[1:] == ["*not run*"] * 4 + ["*not run* |"]
    assert "0.5220 / 0.3846 / 0.6555" in page
    rows = json.loads((tmp_path / "out" / "paper-table.json").read_text("utf-8"))
    assert len(rows) == 3 * len(MASKS)


def test_a_mask_that_a_method_does_not_support_was_not_run(a_version, tmp_path):
    """A base figure of a method with one mask is still the base's."""
    page = write_table([a_version(base_model="sasrec", method="pfrec")], tmp_path / "out").read_text("utf-8")

    assert line(page, "gender + age + occupation", "SASRec")[3].startswith("0.5200")


def test_a_strict_bundle_is_no_row_of_it(a_version, tmp_path):
    with pytest.raises(EvaluationError, match="this one is strict"):
        write_table([a_version(mode="strict")], tmp_path / "out")


def test_two_bundles_for_one_place_are_refused(a_version, tmp_path):
    with pytest.raises(EvaluationError, match="more than one bundle for pmf afrl"):
        write_table([a_version(), a_version(version="2")], tmp_path / "out")
