"""PFRec: what trains, what a history must not depend on, what is exported under which masks."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn

from bundle import Network, SequenceEncoder, read_bundle
from measure.split import TRAIN
from training.base.sequence.config import SasrecConfig
from training.base.train import train_base
from training.data.split import hold_out, split_users
from training.errors import ConfigError
from training.experiment import Experiment
from training.fair.pfrec.config import PfrecConfig
from training.fair.pfrec.histories import Moments, padded
from training.fair.pfrec.nets import Readers
from training.fair.pfrec.prompted import Adapter, PromptedEncoder
from training.fair.pfrec.stage import PfrecStage
from training.fair.pfrec.train import masks_of, train_pfrec
from training.run import run

D, ITEMS, NAMES = 4, 9, ("gender", "age", "occupation")
CPU = torch.device("cpu")
SHORT = {"epochs": 2, "validate_every": 1}
PFREC = {"method": "pfrec", "prompts": 2, "bottleneck": 2, "batch": 64, "moments": 1, "schedule": SHORT}
SASREC = {"model": "sasrec", "dimensions": 8, "length": 10, "hidden": 8, "batch": 64, "schedule": SHORT}


def rng(seed=0):
    return torch.Generator().manual_seed(seed)


def a_sasrec(blocks=1, kind="sasrec"):
    sizes = {"blocks": [blocks], "heads": [1], "hidden": [6], "length": [8]}
    encoder = SequenceEncoder(Network(kind=kind, sizes=sizes), D)
    with torch.no_grad():
        for parameter in encoder.parameters():
            parameter.normal_(0, 0.5, generator=rng(1))
    return encoder.double()


def prompted(blocks=1, prompts=2, own=()):
    return PromptedEncoder(a_sasrec(blocks), prompts, 2, own, 0.5, rng(2))


ITEM_VECTORS = np.random.default_rng(4).normal(size=(ITEMS, D)).astype(np.float32)
LABELS = torch.tensor([[0, 2], [1, -1], [-1, 0]], dtype=torch.int16)


def read(encoder, histories, labels=LABELS):
    return Readers([np.array(h, np.int32) for h in histories], labels.numpy(), ITEM_VECTORS).vectors(encoder)


def test_an_adapter_adds_a_narrow_network_of_the_normalised_output():
    adapter = Adapter(2, 1, rng())
    with torch.no_grad():
        adapter.narrow.weight.copy_(torch.tensor([[1.0, 0.0]]))
        adapter.narrow.bias.fill_(0.5)
        adapter.widen.weight.copy_(torch.tensor([[2.0], [3.0]]))
        adapter.widen.bias.copy_(torch.tensor([0.0, 1.0]))

    y = adapter(torch.tensor([[5.0, 3.0], [3.0, 5.0]]))

    # normalised: (1, -1), (-1, 1) → ReLU(1.5), ReLU(-.5) → (3, 5.5), (0, 1)
    torch.testing.assert_close(y, torch.tensor([[8.0, 8.5], [3.0, 6.0]]), atol=1e-4, rtol=0)


@pytest.mark.parametrize("blocks", [1, 2])
def test_it_reads_the_history_as_the_encoder_does_behind_prompts(blocks):
    """With adapters that add nothing, block by block as written out here."""
    encoder = prompted(blocks)
    with torch.no_grad():
        for adapter in encoder.adapters:
            adapter.widen.weight.zero_()
            adapter.widen.bias.zero_()
    v = torch.from_numpy(ITEM_VECTORS[[3, 1, 7]])

    u = encoder(v[None], torch.ones(1, 3, dtype=torch.bool), LABELS[:1])[0]

    x = D**0.5 * v + encoder.encoder.positions[-3:]
    for index, block in enumerate(encoder.encoder.blocks):
        x = torch.cat([encoder.prompts[index], x])
        normal = block.attention_norm(x)
        key, value = block.key_value(normal).chunk(2, dim=-1)
        scores = (block.query(normal) @ key.T / D**0.5).masked_fill(~torch.ones(5, 5).tril().bool(), -torch.inf)
        x = x + block.join(scores.softmax(1) @ value)
        x = (x + block.narrow(torch.relu(block.widen(block.hidden_norm(x)))))[2:]
    torch.testing.assert_close(u, encoder.encoder.norm(x)[-1])


def test_padding_does_not_matter():
    encoder = prompted()

    together = read(encoder, [[1], [2, 3, 4, 5], [6, 7]])

    for row, history in enumerate([[1], [2, 3, 4, 5], [6, 7]]):
        np.testing.assert_allclose(read(encoder, [history])[0], together[row], atol=1e-6)


def test_an_empty_history_gives_zeros_and_a_long_one_its_newest_items():
    encoder = prompted()
    long = [0, 1, 2, 3, 4, 5, 6, 7, 8, 0, 1]

    vectors = read(encoder, [[], long, long[-8:]])

    assert not vectors[0].any()
    np.testing.assert_array_equal(vectors[1], vectors[2])


def test_without_user_prompts_own_labels_do_not_matter_with_them_each_does():
    plain, own = prompted(), prompted(own=(2, 3))
    history = [[1, 2], [1, 2], [1, 2]]

    assert np.array_equal(*(read(plain, history[:1], labels) for labels in (LABELS[:1], LABELS[1:2])))
    first, second, third = read(own, history)
    assert not np.allclose(first, second)
    assert not np.allclose(second, third)
    np.testing.assert_allclose(read(own, [[1, 2]] * 2, LABELS[[0, 0]])[1], first, atol=1e-6)


def test_prompts_adapters_and_normalisations_train_and_nothing_else():
    encoder = prompted(own=(2, 3))

    encoder(torch.from_numpy(ITEM_VECTORS[None, :3]), torch.ones(1, 3, dtype=torch.bool), LABELS[:1]).sum().backward()

    trains = {name for name, parameter in encoder.named_parameters() if parameter.requires_grad}
    norms = {name for name, module in encoder.encoder.named_modules() if isinstance(module, nn.LayerNorm)}
    expected = {"prompts", "own.0", "own.1"}
    expected |= {f"encoder.{name}.{weight}" for name in norms for weight in ("weight", "bias")}
    expected |= {name for name, _ in encoder.named_parameters() if name.startswith("adapters.")}
    assert trains == expected


def test_the_encoder_that_was_given_stays_as_it_is():
    given = a_sasrec()
    copy = PromptedEncoder(given, 2, 2, (), 0.5, rng())

    with torch.no_grad():
        copy.encoder.norm.weight.fill_(9)

    assert not (given.norm.weight == 9).any()
    assert given.norm.weight.dtype == torch.float64


# --- moments ---------------------------------------------------------------------------------------------------------

TRAIN_CSR = (np.array([0, 3, 4, 4, 8]), np.array([0, 1, 2, 3, 4, 5, 6, 7], np.int32))


def cuts(moments, mode, per_user, seed=0):
    for windows in moments.batches(mode, per_user, 64, rng(seed)):
        rows, present, positives = moments.cut(windows)
        for user, row, flag, positive in zip(windows.users, rows, present, positives, strict=True):
            yield int(user), tuple(row[flag].tolist()), int(positive)


def test_a_moment_is_what_came_before_and_what_came_then():
    moments = Moments(TRAIN_CSR, 2, CPU)

    found = set(cuts(moments, "reproduce", 100))

    assert found == {(0, (0,), 1), (0, (0, 1), 2), (3, (4,), 5), (3, (4, 5), 6), (3, (5, 6), 7)}


def test_strict_draws_as_many_moments_of_each_user():
    moments, seen = Moments(TRAIN_CSR, 2, CPU), set()
    for seed in range(20):
        found = list(cuts(moments, "strict", 3, seed))

        assert sorted(user for user, _, _ in found) == [0, 0, 0, 3, 3, 3]
        seen |= set(found)
    assert seen == set(cuts(moments, "reproduce", 100))


def test_blocks_are_padded_on_the_left():
    blocks = list(padded([np.array([5, 6, 7], np.int32), np.array([], np.int32), np.array([8], np.int32)], 2))

    ((places, items, present),) = blocks
    assert places.tolist() == [2, 0]
    assert present.tolist() == [[False, True], [True, True]]
    assert items[present].tolist() == [8, 6, 7]


# --- the stage -------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def an_experiment(small_data):
    return Experiment(small_data, hold_out(small_data), split_users(small_data.users, "evenhand"), "strict", 5)


@pytest.fixture(scope="module")
def a_base(an_experiment, tmp_path_factory):
    path = tmp_path_factory.mktemp("base") / "base.safetensors"
    return train_base(an_experiment, SasrecConfig.model_validate(SASREC), path, CPU)


def trained(experiment, base, path, **changes):
    return train_pfrec(experiment, base, PfrecConfig.model_validate(PFREC | changes), path, CPU)


def test_every_mask_gets_vectors_of_its_own_and_nothing_protected_is_u(an_experiment, a_base, tmp_path):
    fair = trained(an_experiment, a_base, tmp_path)

    masks = [tuple(mask) for mask in fair.supported_masks.masks]
    assert fair.supported_masks.kind == "list"
    assert len(masks) == 8
    assert not fair.always_protected
    assert np.array_equal(fair.vectors[:, masks.index(())], a_base.users)
    for one in range(8):
        for other in range(one):
            assert not np.allclose(fair.vectors[:, one], fair.vectors[:, other])
    assert fair.encoder.masks.tolist() == [[name in mask for name in NAMES] for mask in masks]


def test_with_user_prompts_every_answer_protects_everything(an_experiment, a_base, tmp_path):
    fair = trained(replace(an_experiment, mode="reproduce"), a_base, tmp_path, user_prompts=True)

    assert fair.always_protected == list(NAMES)
    assert (fair.supported_masks.kind, fair.supported_masks.masks) == ("fixed", [list(NAMES)])
    assert fair.vectors.shape[1] == 1


def test_what_cannot_be_is_refused_by_name(an_experiment, a_base, tmp_path):
    with pytest.raises(ConfigError, match=r"fair\.user_prompts.*strict"):
        trained(an_experiment, a_base, tmp_path, user_prompts=True)
    with pytest.raises(ConfigError, match=r"fair\.masks.*settled"):
        masks_of(NAMES, PfrecConfig(user_prompts=True, masks=(("age",),)))
    with pytest.raises(ConfigError, match=r"fair\.masks: 'agee' is no attribute"):
        masks_of(NAMES, PfrecConfig(masks=(("agee",),)))
    reads_both_ways = replace(a_base, model="bert4rec", history=a_sasrec(kind="bert4rec"))
    with pytest.raises(ConfigError, match="sasrec"):
        trained(an_experiment, reads_both_ways, tmp_path)


def test_listed_masks_come_in_manifest_order_once():
    config = PfrecConfig(masks=(("occupation", "gender"), (), ("gender", "occupation")))

    assert masks_of(NAMES, config) == [("gender", "occupation"), ()]


def test_a_batch_moves_one_masks_networks_and_leaves_the_base(an_experiment, a_base, tmp_path, monkeypatch):
    before = {name: value.copy() for name, value in a_base.history.arrays().items()}
    stepped, original = [], PfrecStage._step

    def counted(self, mask, *arguments):
        flat = [torch.cat([w.detach().flatten() for w in nets.parameters()]) for nets in self._nets.by_mask]
        original(self, mask, *arguments)
        after = [torch.cat([w.detach().flatten() for w in nets.parameters()]) for nets in self._nets.by_mask]
        moved = [not torch.equal(a, b) for a, b in zip(flat, after, strict=True)]
        stepped.append((self._nets.masks.index(mask), moved))

    monkeypatch.setattr(PfrecStage, "_step", counted)
    trained(an_experiment, a_base, tmp_path, weight_decay=0)

    assert len(stepped) > 3
    assert all(moved == [index == chosen for index in range(7)] for chosen, moved in stepped)
    assert all(np.array_equal(before[name], value) for name, value in a_base.history.arrays().items())


def test_the_discriminators_steps_do_not_move_the_prompts(an_experiment, a_base, tmp_path):
    once = {"schedule": {"epochs": 1, "validate_every": 1}, "batch": 4096}

    few = trained(an_experiment, a_base, tmp_path / "few", adversary_steps=1, **once)
    many = trained(an_experiment, a_base, tmp_path / "many", adversary_steps=9, **once)

    assert np.array_equal(few.vectors, many.vectors)


@pytest.mark.parametrize("weight", [0.0, 2.0])
def test_strict_learns_from_no_label_outside_the_train_users(an_experiment, a_base, tmp_path, weight):
    dataset = an_experiment.dataset
    vectors = []
    for name, changed in (
        ("a", ()),
        ("b", an_experiment.user_split != TRAIN),
        ("c", an_experiment.user_split == TRAIN),
    ):
        labels = dataset.labels.copy()
        if len(changed):
            labels[changed] = 1 - np.minimum(labels[changed], 1)
        other = replace(an_experiment, dataset=replace(dataset, labels=labels))
        schedule = {"epochs": 2, "validate_every": 2}
        vectors.append(trained(other, a_base, tmp_path / name, adversary_weight=weight, schedule=schedule).vectors)

    assert np.array_equal(vectors[0], vectors[1])
    assert np.array_equal(vectors[0], vectors[2]) == (weight == 0)


def test_a_run_that_was_broken_off_ends_where_an_unbroken_one_does(an_experiment, a_base, tmp_path, monkeypatch):
    schedule = {"epochs": 3, "validate_every": 1, "checkpoint_s": 0}
    whole = trained(an_experiment, a_base, tmp_path / "whole", schedule=schedule)
    steps, original = [], PfrecStage._step

    def breaks_off(self, *arguments):
        steps.append(1)
        if len(steps) == 6:
            raise KeyboardInterrupt
        original(self, *arguments)

    with monkeypatch.context() as patch:
        patch.setattr(PfrecStage, "_step", breaks_off)
        with pytest.raises(KeyboardInterrupt):
            trained(an_experiment, a_base, tmp_path / "broken", schedule=schedule)
    assert (tmp_path / "broken" / "fair.safetensors").exists()
    resumed = trained(an_experiment, a_base, tmp_path / "broken", schedule=schedule)

    assert np.array_equal(resumed.vectors, whole.vectors)


@pytest.mark.parametrize("changes", [{"mode": "strict"}, {"mode": "reproduce", "fair": PFREC | {"user_prompts": True}}])
def test_a_run_writes_a_bundle_of_finished_vectors(a_run, out, changes):
    bundle = read_bundle(run(a_run(**({"base": SASREC, "fair": PFREC} | changes)), None, out, CPU))

    assert bundle.description.user_layout == "fair"
    assert bundle.description.encoder.kind == "table"
    assert {tuple(row["sensitive"]) for row in bundle.card["accuracy"]["by_mask"]} == {
        tuple(mask) for mask in bundle.description.supported_masks.masks
    }
