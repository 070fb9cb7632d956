"""A loaded model: what a start touches, and what it leaves to the requests that need it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from prometheus_client import generate_latest
from pydantic import SecretStr

from bundle import read_bundle
from service.index import make_ranker, open_index
from service.model.active import Arms, ServedModel
from service.model.encoder import UserEncoder
from service.model.inference import BundleUser, ByPopularity, SimilarTo, Task, compute
from service.model.loaded import Model, load_model
from service.runtime import Runtime
from service.settings import Settings

NOTHING = np.zeros(0, np.int32)


@pytest.fixture
def folder(a_bundle_folder):
    """A bundle with many users that was verified before."""
    path = a_bundle_folder(users=20_000, dimensions=64)
    read_bundle(path)
    return path


def shown(model: Model, basis: BundleUser | SimilarTo | ByPopularity) -> list[int]:
    (ranking,) = compute([Task(model, basis, NOTHING, 3, None)])
    return ranking.rows.tolist()


def test_a_start_reads_no_parts_and_nothing_that_audits_need(folder, resident):
    model = load_model(folder, "cpu")

    files = [folder / "users.safetensors", folder / "audit" / "base.safetensors"]
    assert [resident(path) for path in files] == [0, 0]
    assert len(shown(model, BundleUser(10_000, (True, False)))) == 3
    assert 0 < resident(files[0]) < files[0].stat().st_size / 2
    assert resident(files[1]) == 0


def test_the_index_searches_the_bundles_own_pages(folder):
    model = load_model(folder, "cpu", "torch")

    vectors = model.bundle.items.vectors
    assert model.index.vectors.data_ptr() == vectors.__array_interface__["data"][0]
    assert not vectors.flags.writeable


def test_what_only_some_requests_need_is_made_by_the_first_of_them(folder):
    model = load_model(folder, "cpu")
    assert not {"neighbours", "popular"} & vars(model).keys()

    assert shown(model, ByPopularity()) == [11, 10, 9]
    assert len(shown(model, SimilarTo(0))) == 3

    assert {"neighbours", "popular"} <= vars(model).keys()
    assert model.neighbours is model.neighbours


@pytest.fixture
def beside_a_gpu(monkeypatch):
    """From now on the index says that it is searched on a GPU, which has ``free`` bytes and is the CPU; or has none."""

    def opened(*arguments, **given):
        found = open_index(*arguments, **given)
        found.index.device = "cuda"
        found.index.capture()
        return replace(found, ranker=make_ranker(found.index, found.ranker))

    def with_free(free):
        on = UserEncoder.on
        monkeypatch.setattr("service.model.loaded.open_index", opened)
        if free is not None:
            monkeypatch.setattr("service.model.encoder._memory", lambda _: (free, 2**40))
            monkeypatch.setattr(UserEncoder, "on", lambda encoder, device: on(encoder, {"cuda": "cpu"}[device]))

    return with_free


def test_the_encoder_follows_the_index_to_a_gpu_and_the_lists_stay_the_same(folder, beside_a_gpu):
    here = shown(load_model(folder, "cpu"), BundleUser(7, (True, False)))
    beside_a_gpu(2**40)

    model = load_model(folder, "auto", "torch")

    assert shown(model, BundleUser(7, (True, False))) == here
    assert model.device_note is None
    assert model.device_bytes["items"] == model.bundle.items.vectors.nbytes
    assert model.device_bytes["scratch"] == model.index.scratch_bytes
    assert model.device_bytes["parts"] == model.bundle.users.parts.nbytes
    assert model.device_bytes["encoder"] > 0


def test_parts_that_do_not_fit_are_named_with_the_numbers(folder, beside_a_gpu):
    beside_a_gpu(3086 * 2**20)

    model = load_model(folder, "auto", "torch")

    assert model.device_bytes["parts"] == 0
    assert model.device_note == (
        "users' parts: each batch's are copied over: they take 15 MiB, and 14 MiB may be taken on cpu, "
        "3,086 MiB of 1,048,576 MiB being free"
    )


def test_an_encoder_that_cannot_follow_stays_on_the_cpu_and_says_why(folder, beside_a_gpu, monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.backends.cuda, "is_built", lambda: False)
    beside_a_gpu(None)

    model = load_model(folder, "auto", "torch")

    assert model.device_note == "encoder: this torch is built without CUDA"
    assert len(shown(model, BundleUser(7, (True, False)))) == 3
    assert set(model.device_bytes) == {"items", "scratch"}


def test_without_a_gpu_both_are_on_the_cpu_for_one_reason(folder, monkeypatch):
    monkeypatch.setattr("service.index.build._why_not_gpu", lambda _: "FAISS finds no GPU")

    model = load_model(folder, "auto")

    assert model.device_note == "index and encoder: FAISS finds no GPU"
    assert model.device_bytes == {}
    assert load_model(folder, "cpu").device_note is None


def test_what_a_model_holds_on_a_gpu_is_in_the_metrics_and_leaves_with_it(folder, beside_a_gpu, tmp_path):
    settings = Settings(bundle=folder, database_url=SecretStr(f"sqlite:///{tmp_path}/state.db"))
    here = load_model(folder, "cpu")
    runtime = Runtime(settings, here)
    name = b"evenhand_device_memory_bytes{"
    assert name not in generate_latest(runtime.metrics.registry)
    beside_a_gpu(2**40)

    there = load_model(folder, "auto", "torch")
    before = runtime.swap(Arms(ServedModel(there, 1, runtime.recommender.policy)))

    ask = runtime.metrics.registry.get_sample_value
    assert set(there.device_bytes) == {"items", "scratch", "encoder", "parts"}
    for what, count in there.device_bytes.items():
        assert ask("evenhand_device_memory_bytes", {"what": what}) == count
    runtime.swap(before)
    assert name not in generate_latest(runtime.metrics.registry)


def test_where_a_bundle_has_no_users_the_index_is_measured_with_histories(a_bundle_folder, monkeypatch):
    asked = []

    def opened(*arguments, sample, **given):
        asked.append(sample(20))
        return open_index(*arguments, sample=sample, **given)

    monkeypatch.setattr("service.model.loaded.open_index", opened)

    model = load_model(a_bundle_folder(users=0), "cpu")

    assert asked[0].fair.shape == (20, model.bundle.items.vectors.shape[1])
    assert asked[0].fair.any()
    assert {len(history) for history in asked[0].dropped} == {5}
