"""Whole runs: what training computes is what the bundle holds."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
import torch

from bundle import read_bundle, tensor_over
from measure.masks import masks_to_measure
from measure.split import AUDIT
from training.__main__ import main
from training.card import fair_vectors, make_card
from training.config import read_config
from training.data.split import split_users
from training.errors import ConfigError
from training.export import published, stored
from training.run import run


@pytest.mark.parametrize("mode", ["strict", "reproduce"])
def test_a_run_writes_a_bundle_that_reads_back_and_measures_the_same(a_run, out, cpu, mode):
    config = a_run(mode=mode)

    bundle = read_bundle(run(config, None, out, cpu))

    again = json.loads(json.dumps(make_card(bundle)))
    of_the_run = {name: bundle.card[name] for name in ("run", "data", "left_out", "unmeasured_on_select")}
    assert again | of_the_run == bundle.card
    assert bundle.card["run"] == config.model_dump(mode="json")
    assert set(bundle.card["unmeasured_on_select"]) == {"gender", "age", "occupation"}  # twenty select users
    assert {tuple(row["sensitive"]) for row in bundle.card["accuracy"]["by_mask"]} == set(
        masks_to_measure(("gender", "age", "occupation"))
    )


def test_the_card_is_measured_on_parts_as_they_are_stored(a_run, out, cpu, monkeypatch):
    measured = []

    def make(bundle, *options):
        measured.append(bundle.users.parts)
        return make_card(bundle, *options)

    monkeypatch.setattr("training.run.make_card", make)

    bundle = read_bundle(run(a_run(export={"parts": "float16"}), None, out, cpu))

    assert measured[0].dtype == bundle.users.parts.dtype == np.float16
    assert np.array_equal(measured[0], bundle.users.parts)
    assert json.loads(json.dumps(make_card(bundle)))["accuracy"] == bundle.card["accuracy"]


def test_runs_of_one_name_that_end_in_one_second_are_both_published(a_run, out, cpu):
    first = read_bundle(run(a_run(), None, out, cpu))
    same = replace(first, card=first.card | {"left_out": {"users": 7}})

    second = read_bundle(published(same, out))
    third = read_bundle(published(same, out))

    versions = [each.description.version for each in (first, second, third)]
    assert versions == sorted(set(versions))
    assert [f"{each.description.created:%Y%m%d-%H%M%S}" for each in (first, second, third)] == versions
    assert second.card["left_out"] == third.card["left_out"] == {"users": 7}


@pytest.mark.parametrize(("largest", "named"), [(70_000.0, "70000.0"), (-7e4, "-70000.0")])
def test_parts_that_float16_cannot_hold_are_refused_by_value(largest, named):
    parts = np.ones((2, 3, 4), np.float32)
    parts[1, 2, 3] = largest

    with pytest.raises(ConfigError) as refused:
        stored(parts, "float16")

    assert refused.value.key == "export.parts"
    assert named in str(refused.value)
    assert "-65504 to 65504" in str(refused.value)
    assert stored(parts, "float32") is parts


def test_the_largest_number_of_float16_is_stored():
    parts = np.array([[[65504.0, -65504.0]]], np.float32)

    assert stored(parts, "float16").astype(np.float32).tolist() == parts.tolist()


def test_a_run_that_float16_refuses_goes_on_from_its_checkpoints_in_float32(a_run, out, cpu, monkeypatch):
    def refuse(*_):
        raise ConfigError("export.parts", "float16 cannot hold a part")

    with monkeypatch.context() as patch:
        patch.setattr("training.export.stored", refuse)
        with pytest.raises(ConfigError, match=r"export\.parts"):
            run(a_run(export={"parts": "float16"}), None, out, cpu)
    (before,) = (out / ".unfinished").iterdir()
    trained = {path.name: path.stat().st_mtime_ns for path in before.iterdir()}
    seen = {}

    def look(*arguments):
        (work,) = (out / ".unfinished").iterdir()
        seen.update({path.name: path.stat().st_mtime_ns for path in work.iterdir()})
        return make_card(*arguments)

    monkeypatch.setattr("training.run.make_card", look)

    run(a_run(), None, out, cpu)

    assert seen == trained


def test_the_same_seed_gives_the_same_content_hash_and_another_seed_does_not(a_run, tmp_path, cpu):
    first, second = (run(a_run(), None, tmp_path / name, cpu) for name in ("a", "b"))
    other = run(a_run(seed=6), None, tmp_path / "c", cpu)

    hashes = [read_bundle(path).description.content_hash for path in (first, second, other)]

    assert hashes[0] == hashes[1] != hashes[2]


def test_a_finished_run_leaves_no_checkpoints(a_run, out, cpu):
    run(a_run(), None, out, cpu)

    assert not list((out / ".unfinished").iterdir())


def test_a_run_that_was_broken_off_ends_with_the_same_bundle(a_run, tmp_path, cpu, monkeypatch):
    whole = run(a_run(), None, tmp_path / "whole", cpu)

    def give_up(*_, **__):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("training.run.make_card", give_up)
        with pytest.raises(KeyboardInterrupt):
            run(a_run(), None, tmp_path / "broken", cpu)
    resumed = run(a_run(), None, tmp_path / "broken", cpu)

    assert read_bundle(resumed).description.content_hash == read_bundle(whole).description.content_hash


def test_strict_never_learns_from_a_label_outside_the_train_users(a_run, small_data, tmp_path, cpu, monkeypatch):
    """Audit and select labels are turned upside down: the encoder must not notice."""
    import dataclasses

    split = split_users(small_data.users, "evenhand")
    labels = small_data.labels.copy()
    labels[split == AUDIT] = 1 - np.minimum(labels[split == AUDIT], 1)
    encoders = []
    for changed in (small_data, dataclasses.replace(small_data, labels=labels)):
        monkeypatch.setattr("training.run.load", lambda *_, data=changed: data)
        path = run(a_run(), None, tmp_path / str(len(encoders)), cpu)
        encoders.append(read_bundle(path).encoder.state_dict())

    assert all(torch.equal(encoders[0][name], encoders[1][name]) for name in encoders[0])


def test_the_stored_parts_are_the_split_of_the_base_vectors(a_run, out, cpu):
    bundle = read_bundle(run(a_run(), None, out, cpu))

    parts = bundle.encoder.split(tensor_over(bundle.audit.base)).numpy()

    assert np.allclose(parts, bundle.users.parts, atol=1e-6)
    assert fair_vectors(bundle, ()).shape == bundle.audit.base.shape


def test_folding_a_history_in_lands_near_the_users_own_vector(a_run, out, cpu):
    schedule = {"epochs": 30, "validate_every": 5}
    base = {"model": "pmf", "dimensions": 8, "learning_rate": 1e-2, "batch": 512, "schedule": schedule}
    bundle = read_bundle(run(a_run(base=base), None, out, cpu))
    rows = zip(bundle.seen.indptr, bundle.seen.indptr[1:], strict=False)
    histories = [bundle.seen.indices[start:end][bundle.audit.positive[start:end]] for start, end in rows]

    folded = bundle.history.user_vectors(histories, bundle.items.vectors)

    own = bundle.audit.base
    cosine = (folded * own).sum(1) / np.linalg.norm(folded, axis=1) / np.linalg.norm(own, axis=1)
    shuffled = (
        (folded * np.roll(own, 1, axis=0)).sum(1)
        / np.linalg.norm(folded, axis=1)
        / np.linalg.norm(np.roll(own, 1, axis=0), axis=1)
    )
    assert cosine.mean() > shuffled.mean() + 0.2


def test_an_unknown_key_is_refused_by_name(tmp_path):
    path = tmp_path / "run.toml"
    path.write_text('name = "x"\n[data]\nreader = "auto"\n[fair]\nmethod = "afrl"\nlearning_rat = 1\n')

    with pytest.raises(ConfigError, match=r"fair\.learning_rat"):
        read_config(path)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('name = "x"\n[data]\nreader = "tablez"\n', r"^data\.reader: 'tablez' is not known; allowed: auto, "),
        ('name = "x"\n[data]\n', r"^data\.reader: is missing$"),
        (
            'name = "x"\n[data]\nreader = "auto"\n[base]\nmodel = "alss"\n',
            r"^base\.model: 'alss' is not known; allowed: als, ",
        ),
        ("# nothing yet\n", r"run\.toml: is empty; allowed: "),
    ],
)
def test_what_a_configuration_names_wrongly_or_not_at_all_is_said(tmp_path, text, said):
    path = tmp_path / "run.toml"
    path.write_text(text)

    with pytest.raises(ConfigError, match=said):
        read_config(path)


def test_a_configuration_may_begin_with_a_byte_order_mark(tmp_path):
    path = tmp_path / "run.toml"
    path.write_text('name = "x"\n[data]\nreader = "auto"\n', encoding="utf-8-sig")

    assert read_config(path).name == "x"


def test_the_command_line_says_what_is_wrong_and_exits_with_2(tmp_path, capsys):
    path = tmp_path / "run.toml"
    path.write_text("name = 7")

    assert main(["run", str(path)]) == 2
    assert "error: " in capsys.readouterr().err


def test_evaluate_prints_the_masks_and_rewrites_nothing(a_run, out, cpu, capsys):
    path = run(a_run(), None, out, cpu)
    before = {file: file.stat().st_mtime_ns for file in path.rglob("*")}

    assert main(["evaluate", str(path)]) == 0

    assert "gender, age, occupation" in capsys.readouterr().out
    assert {file: file.stat().st_mtime_ns for file in path.rglob("*")} == before


def test_every_shipped_configuration_is_valid():
    from pathlib import Path

    import training

    configs = sorted(Path(training.__file__).parent.glob("configs/*.toml"))

    assert len(configs) >= 4
    assert all(read_config(path).name for path in configs)


@pytest.mark.parametrize(("attributes", "count"), [(0, 1), (1, 2), (3, 8), (4, 16), (5, 17), (10, 57)])
def test_the_masks_measured_do_not_grow_with_two_to_the_m(attributes, count):
    assert len(masks_to_measure([f"a{index}" for index in range(attributes)])) == count
