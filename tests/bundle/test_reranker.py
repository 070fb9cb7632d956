"""The reranker: its numbers, written and read, and refused where it does not fit."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from pydantic import ValidationError

from bundle import Reranker, build_reranker, read_bundle, write_bundle
from bundle.errors import DamagedError, UnsupportedError
from bundle.networks import ExactReranker

FILE = "reranker.safetensors"


@pytest.fixture
def by_hand():
    """d = 1, two items, one hidden layer of two."""
    reranker = build_reranker(Reranker(kind="mlp", sizes={"layers": [2, 2, 1]}, candidates=1), 1, 2)
    numbers = {
        "items": [[2.0], [-1.0]],
        "layers.0.weight": [[1.0, 1.0], [0.0, -2.0]],
        "layers.0.bias": [0.5, 1.0],
        "layers.1.weight": [[2.0, 3.0]],
        "layers.1.bias": [-1.0],
    }
    reranker.load_state_dict({name: torch.tensor(value) for name, value in numbers.items()})
    return reranker.requires_grad_(False)


USERS, ROWS = [[1.0], [-3.0]], [[0, 1], [1, 0]]
# u = 1:  item 0 (2): hidden (3.5, max(0, -3)) → 7 - 1 = 6;    item 1 (-1): hidden (.5, 3) → 1 + 9 - 1 = 9
# u = -3: item 1 (-1): hidden (max(0, -3.5), 3) → 9 - 1 = 8;   item 0 (2): hidden (max(0, -.5), max(0, -3)) → -1
SCORES = [[6.0, 9.0], [8.0, -1.0]]


def test_a_score_is_the_perceptron_over_user_and_item_vector(by_hand):
    assert by_hand(torch.tensor(USERS), torch.tensor(ROWS)).tolist() == SCORES


def test_the_exact_scores_are_the_same_numbers(by_hand):
    assert ExactReranker(by_hand)(np.array(USERS, np.float32), np.array(ROWS)).tolist() == SCORES


def test_what_training_drops_is_dropped_before_every_layer_but_the_last(by_hand):
    dropped = []

    def drop(x):
        dropped.append(x.shape[-1])
        return torch.zeros_like(x)

    scores = by_hand(torch.tensor(USERS), torch.tensor(ROWS), drop)

    assert dropped == [2]
    assert scores.tolist() == [[3.0, 3.0]] * 2  # biases alone: 2 · .5 + 3 · 1 - 1


def test_exact_scores_do_not_depend_on_company_to_the_last_bit(a_bundle):
    bundle = a_bundle(users=50, items=300, dimensions=16, candidates=5)
    rng = np.random.default_rng(0)
    users, rows = bundle.audit.base, rng.integers(300, size=(50, 40))
    scores = ExactReranker(bundle.reranker)

    together = scores(users, rows)

    for row in range(50):
        assert np.array_equal(scores(users[row : row + 1], rows[row : row + 1])[0], together[row])
    with torch.no_grad():
        wide = bundle.reranker.double()(torch.from_numpy(users).double(), torch.from_numpy(rows)).numpy()
    np.testing.assert_allclose(together, wide, rtol=1e-12)


def test_the_exact_scores_stay_when_the_network_goes_on_training(by_hand):
    scores = ExactReranker(by_hand)
    by_hand.items += 1

    assert scores(np.array(USERS, np.float32), np.array(ROWS)).tolist() == SCORES


def test_a_reranker_is_read_as_it_was_written(a_bundle, tmp_path):
    bundle = a_bundle(candidates=3)

    found = read_bundle(write_bundle(bundle, tmp_path))

    assert found.description.reranker == found.reranker.spec == bundle.reranker.spec
    weights = bundle.reranker.state_dict()
    assert found.reranker.state_dict().keys() == weights.keys()
    assert all(value.equal(weights[name]) for name, value in found.reranker.state_dict().items())
    assert not any(parameter.requires_grad for parameter in found.reranker.parameters())


# --- refusals ------------------------------------------------------------------------------------------------------


@pytest.fixture
def folder(a_bundle_folder):
    return a_bundle_folder(candidates=3)


def refusal_of(folder, kind=DamagedError):
    with pytest.raises(kind) as refusal:
        read_bundle(folder)
    return refusal.value


def test_a_flipped_byte_is_refused(folder):
    raw = bytearray((folder / FILE).read_bytes())
    raw[-1] ^= 1
    (folder / FILE).write_bytes(raw)

    refusal = refusal_of(folder)
    assert (refusal.file, refusal.what) == (FILE, "sha256")


def test_a_missing_file_is_refused(folder):
    (folder / FILE).unlink()

    assert refusal_of(folder).file == FILE


def test_a_reranker_without_a_file_in_the_manifest_is_refused(folder, forger):
    (folder / FILE).unlink()
    forger.edit(folder, lambda manifest: manifest["files"].pop(FILE))

    assert FILE in str(refusal_of(folder))


def test_a_file_without_a_reranker_in_the_manifest_is_refused(folder, forger):
    forger.edit(folder, lambda manifest: manifest.update(scorer="inner", reranker=None))

    refusal = refusal_of(folder)
    assert (refusal.what, refusal.found) == ("files", [FILE])


@pytest.mark.parametrize("changes", [{"scorer": "inner"}, {"scorer": "cosine"}, {"reranker": None}], ids=str)
def test_a_scorer_and_a_reranker_come_together_or_not_at_all(folder, forger, a_bundle, changes):
    forger.edit(folder, lambda manifest: manifest.update(changes))

    assert "a reranker" in str(refusal_of(folder))
    description = a_bundle(candidates=3).description.model_dump()
    with pytest.raises(ValidationError, match="a reranker"):
        type(a_bundle().description).model_validate(description | changes)


@pytest.mark.parametrize("name", ["items", "layers.0.weight", "layers.0.bias", "layers.1.weight", "layers.1.bias"])
@pytest.mark.parametrize("change", [lambda a: a[:-1], lambda a: a[None], lambda a: a.astype(np.float64)])
def test_a_wrong_shape_or_dtype_is_refused(folder, forger, name, change):
    forger.array(folder, FILE, name, change)

    refusal = refusal_of(folder)
    assert refusal.file == FILE
    assert name in refusal.what


@pytest.mark.parametrize("name", ["items", "layers.1.bias"])
def test_numbers_that_are_not_finite_are_refused(folder, forger, name):
    forger.array(folder, FILE, name, lambda array: np.full_like(array, np.nan))

    assert (refusal_of(folder).file, refusal_of(folder).what) == (FILE, name)


@pytest.mark.parametrize(
    "sizes", [{"layers": [8]}, {"layers": [9, 4, 1]}, {"layers": [8, 4, 2]}, {"split": [8, 1]}, {}], ids=str
)
def test_layer_sizes_that_do_not_fit_are_refused(folder, forger, sizes):
    forger.edit(folder, lambda manifest: manifest["reranker"].update(sizes=sizes))

    refusal = refusal_of(folder)
    assert refusal.file == "manifest.json"
    assert refusal.what.startswith("reranker.sizes")


def test_an_unknown_kind_is_refused(folder, forger):
    forger.edit(folder, lambda manifest: manifest["reranker"].update(kind="transformer"))

    assert refusal_of(folder, UnsupportedError).what == "reranker.kind"


@pytest.mark.parametrize("candidates", [0, -1, 1.5, None])
def test_a_number_of_candidates_that_is_none_is_refused(folder, forger, candidates):
    forger.edit(folder, lambda manifest: manifest["reranker"].update(candidates=candidates))

    assert "candidates" in str(refusal_of(folder))


def test_a_reranker_of_another_catalogue_is_not_written(a_bundle, tmp_path):
    larger = a_bundle(candidates=3, items=13)

    with pytest.raises(DamagedError, match="items"):
        write_bundle(replace(a_bundle(candidates=3), reranker=larger.reranker), tmp_path)
    assert not list(tmp_path.glob("tiny/1"))
