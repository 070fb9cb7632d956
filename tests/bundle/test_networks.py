"""The encoders against networks written out by hand, and the gate against its truth table."""

import itertools

import pytest
import torch
from torch import nn

from bundle import Network, Part, build_encoder
from bundle.errors import DamagedError, UnsupportedError
from bundle.networks import StackedMLP

NAMES = ("gender", "age", "occupation", "country", "income")


def draw(module, seed=1):
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.normal_(0, 0.5, generator=generator)
    return module


def random(*shape, seed=2):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def attribute_parts(attributes):
    return [
        Part(name="shared", attributes=[], taken="always"),
        *(Part(name=name, attributes=[name], taken="none_protected") for name in attributes),
    ]


def an_afrl(attributes, parts=None, d=4):
    parts = parts or attribute_parts(attributes)
    wide = len(parts) * d
    sizes = {"split": [d, 7, 6, d], "combine": [wide, 9, d]}
    return draw(build_encoder(Network(kind="afrl", sizes=sizes), d, attributes, parts))


def a_table(masks, attributes=NAMES[:2], d=4):
    encoder = build_encoder(
        Network(kind="table", sizes={"masks": [len(masks), len(attributes)]}), d, attributes, parts=[]
    )
    encoder.masks.copy_(torch.tensor(masks))
    return encoder


# --- StackedMLP ----------------------------------------------------------------------------------------------------


def plain(stacked, index):
    """Network ``index`` of the stack as a plain nn.Sequential with the same weights."""
    norm = nn.LayerNorm(stacked.norm_weight.shape[-1])
    layers = [norm]
    with torch.no_grad():
        norm.weight.copy_(stacked.norm_weight[index, 0])
        norm.bias.copy_(stacked.norm_bias[index, 0])
        for weight, bias in zip(stacked.weights, stacked.biases, strict=True):
            linear = nn.Linear(*weight.shape[1:])
            linear.weight.copy_(weight[index].T)
            linear.bias.copy_(bias[index, 0])
            layers += [linear, nn.ReLU()]
    return nn.Sequential(*layers[:-1])


@pytest.mark.parametrize("sizes", [(4, 4), (4, 8, 4), (6, 5, 7, 3)], ids=str)
@pytest.mark.parametrize("count", [1, 3])
def test_a_stack_equals_as_many_separate_networks_with_the_same_weights(count, sizes):
    stacked = draw(StackedMLP(count, sizes))
    u = random(10, sizes[0])

    together = stacked(u)
    apart = torch.stack([plain(stacked, index)(u) for index in range(count)], dim=1)

    assert together.shape == (10, count, sizes[-1])
    torch.testing.assert_close(together, apart)


def test_a_stack_gives_each_network_the_gradient_it_has_alone():
    stacked = draw(StackedMLP(3, (4, 8, 4)))
    u = random(10, 4)
    alone = [plain(stacked, index) for index in range(3)]

    stacked(u).square().sum().backward()
    sum(network(u).square().sum() for network in alone).backward()

    for index, network in enumerate(alone):
        torch.testing.assert_close(stacked.norm_weight.grad[index, 0], network[0].weight.grad)
        torch.testing.assert_close(stacked.weights[0].grad[index], network[1].weight.grad.T)
        torch.testing.assert_close(stacked.biases[1].grad[index, 0], network[3].bias.grad)


def test_an_empty_batch_gives_no_parts():
    assert StackedMLP(3, (4, 8, 4))(torch.zeros(0, 4)).shape == (0, 3, 4)


# --- the gate ------------------------------------------------------------------------------------------------------


def test_the_gate_keeps_its_truth_table():
    parts = [
        *attribute_parts(("gender", "age")),
        Part(name="either", attributes=["gender", "age"], taken="none_protected"),
        Part(name="pair", attributes=["gender", "age"], taken="all_protected"),
    ]
    encoder = an_afrl(("gender", "age"), parts)
    masks = torch.tensor([[False, False], [True, False], [False, True], [True, True]])

    gate = encoder.gate(masks)

    assert gate.tolist() == [
        # shared, gender, age, either, pair
        [True, True, True, True, False],
        [True, False, True, False, False],
        [True, True, False, False, False],
        [True, False, False, False, True],
    ]


@pytest.mark.parametrize("count", [1, 3, 5])
def test_every_mask_withholds_just_the_parts_of_what_it_protects(count):
    encoder = an_afrl(NAMES[:count])
    masks = torch.tensor(list(itertools.product([False, True], repeat=count)))

    gate = encoder.gate(masks)

    assert gate[:, 0].all()
    assert gate[:, 1:].equal(~masks)


def test_a_pair_part_looks_at_its_own_attributes_only():
    parts = [*attribute_parts(NAMES[:3]), Part(name="pair", attributes=["gender", "occupation"], taken="all_protected")]
    encoder = an_afrl(NAMES[:3], parts)
    masks = torch.tensor(list(itertools.product([False, True], repeat=3)))

    assert encoder.gate(masks)[:, -1].equal(masks[:, 0] & masks[:, 2])


# --- AFRL ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("count", [1, 3, 5])
def test_combine_equals_the_parts_side_by_side_through_a_network_written_by_hand(count):
    encoder = an_afrl(NAMES[:count])
    parts = random(8, 1 + count, 4)
    masks = random(8, count, seed=3) > 0

    fair = encoder.combine(parts, masks)

    first, second = encoder.aggregate[0], encoder.aggregate[2]
    for row in range(8):
        open_parts = [torch.zeros(4) if masks[row, i] else parts[row, 1 + i] for i in range(count)]
        hidden = torch.relu(first.weight @ torch.cat([parts[row, 0], *open_parts]) + first.bias)
        torch.testing.assert_close(fair[row], second.weight @ hidden + second.bias)


@pytest.mark.parametrize("count", [1, 3, 5])
def test_disturbing_a_protected_part_does_not_move_the_fair_vector(count):
    encoder = an_afrl(NAMES[:count])
    masks = torch.tensor(list(itertools.product([False, True], repeat=count)))
    parts = random(len(masks), 1 + count, 4)
    disturbed = parts.clone()
    disturbed[:, 1:][masks] += 100 * random(int(masks.sum()), 4, seed=4)

    assert encoder.combine(disturbed, masks).equal(encoder.combine(parts, masks))


def test_disturbing_a_part_that_is_not_protected_moves_the_fair_vector():
    encoder = an_afrl(NAMES[:3])
    parts = random(1, 4, 4)
    mask = torch.tensor([[True, False, True]])

    for part in (0, 2):
        disturbed = parts.clone()
        disturbed[:, part] += 1
        assert not encoder.combine(disturbed, mask).equal(encoder.combine(parts, mask))


@pytest.mark.parametrize("count", [1, 3, 5])
def test_the_encoder_works_in_double_precision(count):
    encoder = an_afrl(NAMES[:count])
    u = random(8, 4)
    masks = random(8, count, seed=3) > 0
    single = encoder.combine(encoder.split(u), masks)

    double = encoder.double()
    fair = double.combine(double.split(u.double()), masks)

    assert fair.dtype == torch.float64
    torch.testing.assert_close(fair.float(), single)


def test_without_attributes_only_the_shared_part_is_left():
    encoder = an_afrl(())

    fair = encoder.combine(encoder.split(random(3, 4)), torch.zeros(3, 0, dtype=torch.bool))

    assert fair.shape == (3, 4)


def test_initial_weights_come_from_the_generator_alone():
    first, second = an_afrl(NAMES[:2]), an_afrl(NAMES[:2])
    first.initialise(torch.Generator().manual_seed(5))
    second.initialise(torch.Generator().manual_seed(5))

    weights = second.state_dict()
    assert all(value.equal(weights[name]) for name, value in first.state_dict().items())
    assert first.parts.weights[0].std().item() == pytest.approx(0.1, rel=0.2)
    assert first.aggregate[0].weight.std().item() == pytest.approx(0.01, rel=0.2)


def test_what_the_manifest_says_of_the_parts_is_not_among_the_weights():
    assert not [name for name in an_afrl(NAMES[:2]).state_dict() if name.startswith("_")]


# --- the table -----------------------------------------------------------------------------------------------------


def test_a_table_picks_the_row_of_each_users_mask():
    encoder = a_table([[True, True], [False, False], [True, False]])
    fair = random(4, 3, 4)

    picked = encoder.combine(fair, torch.tensor([[False, False], [True, True], [True, False], [False, False]]))

    assert picked.equal(torch.stack([fair[0, 1], fair[1, 0], fair[2, 2], fair[3, 1]]))


def test_a_table_refuses_a_mask_that_it_does_not_have():
    encoder = a_table([[True, True], [False, False]])

    with pytest.raises(UnsupportedError) as refusal:
        encoder.combine(random(2, 2, 4), torch.tensor([[True, True], [True, False]]))

    assert refusal.value.found == [True, False]
    assert refusal.value.known == [[True, True], [False, False]]


def test_a_table_has_no_split():
    with pytest.raises(UnsupportedError):
        a_table([[True, True]]).split(random(1, 4))


def test_a_table_works_for_one_attribute_and_in_double_precision():
    encoder = a_table([[False], [True]], attributes=NAMES[:1]).double()
    fair = random(1, 2, 4).double()

    assert encoder.combine(fair, torch.tensor([[True]])).equal(fair[:, 1])


def test_a_table_for_other_attributes_is_refused():
    with pytest.raises(DamagedError, match="columns"):
        build_encoder(Network(kind="table", sizes={"masks": [2, 3]}), 4, NAMES[:2], [])
