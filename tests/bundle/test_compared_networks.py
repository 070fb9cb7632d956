"""SM's filters and FFVAE's autoencoder against numbers by hand, and what a protected mask must not depend on."""

import itertools

import pytest
import torch

from bundle import Network, Part, build_encoder
from bundle.errors import DamagedError
from bundle.networks.ffvae import ffvae_parts
from bundle.networks.filters import Filter, filter_parts, mask_filter_parts

NAMES = ("gender", "age", "occupation")
MASKS = torch.tensor(list(itertools.product([False, True], repeat=3)))
D = 4


def draw(module, seed=1):
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.normal_(0, 0.5, generator=generator)
        for name, buffer in module.named_buffers():
            if name.endswith(("mean", "centre")):
                buffer.normal_(0, 0.5, generator=generator)
            if name.endswith(("variance", "spread")):
                buffer.uniform_(0.5, 2, generator=generator)
    return module.eval()


def random(*shape, seed=2):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def by_attribute(attributes=NAMES):
    network = Network(kind="filters", sizes={"filter": [D, 2 * D, D]})
    return draw(build_encoder(network, D, attributes, filter_parts(attributes)))


def by_mask(attributes=NAMES):
    network = Network(kind="mask_filters", sizes={"filter": [D, 2 * D, D]})
    return draw(build_encoder(network, D, attributes, mask_filter_parts()))


def an_ffvae(latents=(4, 2, 3, 1), attributes=NAMES):
    n = sum(latents)
    sizes = {"latents": list(latents), "encode": [D, 7, 2 * n], "decode": [n, 6, D]}
    return draw(build_encoder(Network(kind="ffvae", sizes=sizes), D, attributes, ffvae_parts(attributes)))


# --- filters ---------------------------------------------------------------------------------------------------------


def test_a_filter_is_two_leaky_layers_and_a_normalisation():
    each = Filter(1, 2).eval()
    with torch.no_grad():
        each.inner.weight.copy_(torch.tensor([[1.0], [-1.0]]))
        each.inner.bias.copy_(torch.tensor([0.0, 1.0]))
        each.outer.weight.copy_(torch.tensor([[2.0, 10.0]]))
        each.outer.bias.copy_(torch.tensor([-6.0]))
        each.mean.fill_(-1.0)
        each.variance.fill_(4.0 - 1e-5)
        each.scale.fill_(3.0)
        each.shift.fill_(0.5)

    fair = each(torch.tensor([[2.0], [1.0]]))

    # 2: leaky(2, -1) = (2, -.01) → 4 - .1 - 6 = -2.1 → -.021 → (-.021 + 1) / 2 · 3 + .5
    # 1: leaky(1, 0) = (1, 0) → -4 → -.04 → .96 / 2 · 3 + .5
    assert fair[:, 0].tolist() == pytest.approx([1.9685, 1.94], abs=1e-6)


def test_in_training_a_filter_normalises_by_the_batch_and_remembers_a_tenth_of_it():
    each = draw(Filter(D, 2 * D)).train()
    u, mean, variance = random(64, D), each.mean.clone(), each.variance.clone()

    fair = each(u)

    leaky = torch.nn.functional.leaky_relu
    raw = leaky(each.outer(leaky(each.inner(u))))
    spread = (raw.var(0, correction=0) + 1e-5).sqrt()
    torch.testing.assert_close(fair, (raw - raw.mean(0)) / spread * each.scale + each.shift)
    torch.testing.assert_close(each.mean, 0.9 * mean + 0.1 * raw.mean(0))
    torch.testing.assert_close(each.variance, 0.9 * variance + 0.1 * raw.var(0))


def test_a_batch_of_one_row_leaves_the_memory_alone():
    each = draw(Filter(D, 2 * D)).train()
    before = each.mean.clone()

    assert each(random(1, D)).isfinite().all()
    assert each.mean.equal(before)


def test_attribute_filters_are_averaged_over_what_is_protected():
    encoder, u = by_attribute(), random(8, D)

    parts = encoder.split(u)
    fair = encoder.combine(parts, MASKS)

    assert parts.shape == (8, 4, D)
    for row, mask in enumerate(MASKS.tolist()):
        chosen = [each(u[row : row + 1])[0] for each, protect in zip(encoder.filters, mask, strict=True) if protect]
        expected = torch.stack(chosen).mean(0) if chosen else u[row]
        torch.testing.assert_close(fair[row], expected)


def test_mask_filters_have_one_for_each_mask():
    encoder, u = by_mask(), random(8, D)

    fair = encoder.combine(encoder.split(u), MASKS)

    assert len(encoder.filters) == 7
    for row, (gender, age, occupation) in enumerate(MASKS.tolist()):
        number = gender + 2 * age + 4 * occupation
        expected = encoder.filters[number - 1](u[row : row + 1])[0] if number else u[row]
        torch.testing.assert_close(fair[row], expected)


@pytest.mark.parametrize("make", [by_attribute, by_mask])
def test_nothing_protected_is_u_itself_bit_for_bit(make):
    encoder, u = make(), random(8, D)

    assert encoder.combine(encoder.split(u), torch.zeros(8, 3, dtype=torch.bool)).equal(u)


def test_a_protected_mask_sees_neither_u_nor_the_filters_of_other_attributes():
    encoder = by_attribute()
    parts = random(len(MASKS), 4, D)
    disturbed = parts.clone()
    disturbed[:, 1:][~MASKS] = float("nan")
    disturbed[MASKS.any(1), 0] = float("nan")

    assert encoder.combine(disturbed, MASKS).equal(encoder.combine(parts, MASKS))


@pytest.mark.parametrize("make", [by_attribute, by_mask])
def test_a_fair_vector_does_not_depend_on_who_else_is_in_the_batch(make):
    encoder = make().double()
    u = random(8, D).double()
    together = encoder.combine(encoder.split(u), MASKS)

    for row in range(8):
        alone = encoder.combine(encoder.split(u[row : row + 1]), MASKS[row : row + 1])
        torch.testing.assert_close(alone[0], together[row], rtol=1e-13, atol=1e-13)


@pytest.mark.parametrize("make", [by_attribute, by_mask])
def test_a_gradient_reaches_the_filters_of_the_mask_alone(make):
    encoder = make()
    mask = torch.tensor([[True, False, False]]).expand(5, -1)

    encoder.combine(encoder.split(random(5, D)), mask).square().sum().backward()

    moved = [each.inner.weight.grad is not None and bool(each.inner.weight.grad.any()) for each in encoder.filters]
    assert moved == [True] + [False] * (len(moved) - 1)


def test_parts_that_are_not_those_of_the_kind_are_refused():
    shared = [Part(name="shared", attributes=[], taken="always")]
    for kind, parts in (("filters", shared), ("mask_filters", filter_parts(NAMES)), ("ffvae", shared)):
        sizes = (
            {"filter": [D, 8, D]} if kind != "ffvae" else {"latents": [4, 1, 1, 1], "encode": [4, 14], "decode": [7, 4]}
        )
        with pytest.raises(DamagedError, match="parts"):
            build_encoder(Network(kind=kind, sizes=sizes), D, NAMES, parts)


def test_a_filter_for_each_mask_of_many_attributes_is_refused():
    names = [f"a{index}" for index in range(7)]

    with pytest.raises(DamagedError, match="at most"):
        build_encoder(Network(kind="mask_filters", sizes={"filter": [D, 8, D]}), D, names, mask_filter_parts())


# --- FFVAE -----------------------------------------------------------------------------------------------------------


def test_the_parts_are_the_posterior_means_block_by_block():
    encoder, u = an_ffvae(), random(5, D)

    parts = encoder.split(u)

    x = (u - encoder.centre) / encoder.spread
    first, second = encoder.encode[0], encoder.encode[2]
    mean = (torch.relu(x @ first.weight.T + first.bias) @ second.weight.T + second.bias)[:, :10]
    torch.testing.assert_close(parts[:, 0], mean[:, :4])
    torch.testing.assert_close(parts[:, 1, :2], mean[:, 4:6])
    torch.testing.assert_close(parts[:, 2, :3], mean[:, 6:9])
    torch.testing.assert_close(parts[:, 3, :1], mean[:, 9:])
    assert not parts[:, 1, 2:].any()
    assert not parts[:, 3, 1:].any()


def test_combine_decodes_the_blocks_with_withheld_ones_zero():
    encoder = an_ffvae()
    parts = random(len(MASKS), 4, D)

    fair = encoder.combine(parts, MASKS)

    first, second = encoder.decode[0], encoder.decode[2]
    for row, mask in enumerate(MASKS.tolist()):
        blocks = [parts[row, 0]]
        blocks += [
            torch.zeros(count) if protect else parts[row, 1 + index, :count]
            for index, (count, protect) in enumerate(zip((2, 3, 1), mask, strict=True))
        ]
        x = second.weight @ torch.relu(first.weight @ torch.cat(blocks) + first.bias) + second.bias
        torch.testing.assert_close(fair[row], x * encoder.spread + encoder.centre)


def test_a_protected_block_does_not_move_what_is_decoded():
    encoder = an_ffvae()
    parts = random(len(MASKS), 4, D)
    disturbed = parts.clone()
    disturbed[:, 1:][MASKS] = float("nan")

    assert encoder.combine(disturbed, MASKS).equal(encoder.combine(parts, MASKS))
    disturbed = parts.clone()
    disturbed[:, 1:, 0] += 1
    assert not encoder.combine(disturbed, MASKS)[0].equal(encoder.combine(parts, MASKS)[0])


@pytest.mark.parametrize("latents", [(5, 1, 1, 1), (4, 1, 1)], ids=["wider than a part", "a block too few"])
def test_latents_that_do_not_fit_are_refused(latents):
    with pytest.raises(DamagedError):
        an_ffvae(latents)
