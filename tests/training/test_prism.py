"""PRISM against its page: experts and prices by hand, no look ahead, and what a trained base hands on."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from bundle import PrismEncoder
from tests.training.features import GENERATED
from training.base.sequence.prism import Experts, experts_of, prices_of
from training.base.sequence.prism_config import PrismConfig
from training.base.sequence.stage import SequenceModel, SequenceStage
from training.base.sequence.windows import Histories
from training.base.train import train_base
from training.config import RunConfig
from training.data.load import load
from training.demands import experiment_of
from training.errors import ConfigError, TooLittleDataError
from training.negatives import NegativeSampler

CPU = torch.device("cpu")
KINDS = ("sasrec", "bert4rec")
D, ITEMS = 4, 50
SMALL = {"dimensions": 8, "length": 6, "hidden": 8, "negatives": 16, "batch": 32, "learning_rate": 1e-2}
DATA = GENERATED | {"cold_items": 6}
HISTORIES = [[10, 11, 12, 13], [20], [], [30, 31, 32, 33, 34, 35, 36, 37, 38, 39], [40, 41]]


def rng(seed=0):
    return torch.Generator().manual_seed(seed)


def a_config(kind, data=None, **changes):
    base = {"model": kind, "prism": {}, "schedule": {"epochs": 2}} | SMALL | changes
    fields = {"name": "prism", "threads": 1, "seed": 5, "new_users": 0.1, "data": data or DATA, "base": base}
    return RunConfig.model_validate(fields)


def an_experiment(config):
    return experiment_of(config, load(config.data, None))


def some_experts(widths=(5, 3), lacking=((1, 6), (2, 6)), **changes):
    """Experts over ITEMS items, all weights drawn large; the rows of ``lacking`` lack a modality each."""
    draw = np.random.default_rng(3)
    features = [torch.from_numpy(draw.normal(size=(ITEMS, width)).astype(np.float32)) for width in widths]
    present = torch.ones(ITEMS, len(widths), dtype=torch.bool)
    for place, rows in enumerate(lacking[: len(widths)]):
        present[list(rows), place] = False
    experts = Experts(features, present, D, PrismConfig(hidden=7, **changes))
    with torch.no_grad():
        for parameter in experts.parameters():
            parameter.normal_(0, 0.5, generator=rng(1))
    return experts


def gelu(x):
    return torch.nn.functional.gelu(x)


# --- experts -------------------------------------------------------------------------------------------------------


def projected_by_hand(experts, row):
    return [
        features[row] @ map_ + bias if there else lacking
        for features, map_, bias, there, lacking in zip(
            [experts.features0, experts.features1],
            experts.maps,
            experts.map_bias,
            experts.present[row],
            experts.lacking,
            strict=True,
        )
    ]


def test_each_expert_hears_all_modalities_side_by_side():
    experts = some_experts()

    said = experts(torch.tensor([0, 1, 2, 6]))

    assert said.experts.shape == (4, 4, D), "one for each modality, synergy, redundancy"
    for place, row in enumerate((0, 1, 2, 6)):
        e = projected_by_hand(experts, row)
        torch.testing.assert_close(said.modal[place], e[0] + e[1])
        for k in range(4):
            heard = gelu(torch.cat(e) @ experts.inner[k] + experts.inner_bias[k, 0]) @ experts.outer[k]
            torch.testing.assert_close(said.experts[place, k], heard + experts.outer_bias[k, 0])


def test_an_item_without_a_modality_is_told_by_a_learned_vector_and_never_by_its_numbers():
    experts = some_experts()
    before = experts(torch.tensor([1, 6, 0]))

    experts.features0[[1, 6]] = 100
    after = experts(torch.tensor([1, 6, 0]))
    with torch.no_grad():
        experts.lacking += 1
    learned = experts(torch.tensor([1, 6, 0]))

    assert torch.equal(before.experts, after.experts)
    assert ((learned.experts - after.experts).abs().amax((1, 2)) > 0.1).tolist() == [True, True, False]


def test_of_one_modality_there_is_one_expert_and_nothing_to_pay():
    experts = some_experts(widths=(5,))

    assert experts(torch.arange(3)).experts.shape == (3, 1, D)
    assert experts.price(torch.arange(ITEMS), rng()) == 0


def test_tables_hold_what_is_said_of_every_item():
    experts = some_experts()

    tables = experts.tables()

    said = experts(torch.arange(ITEMS))
    np.testing.assert_allclose(tables["modal"], said.modal.detach(), rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(tables["experts"], said.experts.detach(), rtol=1e-5, atol=1e-6)


# --- prices --------------------------------------------------------------------------------------------------------


def prices_by_hand(whole, replaced, present, margin):
    """Of two or three modalities, item by item."""
    n, count = present.shape
    triplets, alike, unlike = [[] for _ in range(count)], [], []
    for i in range(n):
        if present[i].sum() < 2:
            continue
        for m in range(count):
            if not present[i, m]:
                continue
            for j in range(count):
                if j != m and present[i, j]:
                    own = np.linalg.norm(whole[i, m] - replaced[m, i, m] + 1e-6)
                    other = np.linalg.norm(whole[i, m] - replaced[j, i, m] + 1e-6)
                    triplets[m].append((j, max(0, other - own + margin)))
            cosines = [
                whole[i, k] @ replaced[m, i, k] / np.linalg.norm(whole[i, k]) / np.linalg.norm(replaced[m, i, k])
                for k in (count, count + 1)
            ]
            alike.append(cosines[0])
            unlike.append(1 - cosines[1])
    unique = 0.0
    for of_one in triplets:
        others = {j for j, _ in of_one}
        unique += sum(np.mean([loss for j, loss in of_one if j == other]) for other in others) / (count - 1)
    return unique, np.mean(alike), np.mean(unlike)


@pytest.mark.parametrize("count", [2, 3])
def test_prices_are_those_of_the_page(count):
    draw = np.random.default_rng(count)
    whole, replaced = draw.normal(size=(20, count + 2, D)), draw.normal(size=(count, 20, count + 2, D))
    present = draw.random((20, count)) < 0.7

    found = prices_of(torch.from_numpy(whole), torch.from_numpy(replaced), torch.from_numpy(present), 1.0)

    np.testing.assert_allclose(found, prices_by_hand(whole, replaced, present, 1.0), rtol=1e-6)


def test_items_with_one_modality_each_teach_nothing():
    whole, replaced = torch.randn(5, 4, D), torch.randn(2, 5, 4, D)
    present = torch.tensor([[True, False]] * 5)

    assert [float(each) for each in prices_of(whole, replaced, present, 1.0)] == [0, 0, 0]


def test_what_is_replaced_is_one_modality_by_fresh_noise():
    """Experts that pass their input on: what comes out differs where it was replaced, and there as N(0, 1)."""
    experts = some_experts(lacking=((), ()))
    heard = []
    experts.heard = lambda e: heard.append(e) or torch.zeros(len(e), 4, D)

    experts.price(torch.arange(ITEMS), rng(1))
    experts.price(torch.arange(ITEMS), rng(2))

    whole, first, second, *_ = heard
    changed = [(each != whole).any(dim=(0, 2)).tolist() for each in (first, second)]
    assert changed == [[True, False], [False, True]]
    assert (first[:, 0].mean().abs(), (first[:, 0].std() - 1).abs()) < (0.2, 0.2)
    assert not torch.equal(heard[1][:, 0], heard[4][:, 0])


def test_the_experts_learn_what_they_pay_for():
    """Each price alone falls where experts are trained by it: the replaced modalities reach the weights."""
    for name in ("uniqueness", "synergy", "redundancy"):
        free = {"uniqueness": 0.0, "synergy": 0.0, "redundancy": 0.0}
        experts = some_experts(**free | {name: 1.0})
        adam = torch.optim.Adam([experts.inner, experts.inner_bias, experts.outer], lr=0.02)
        first = np.mean([experts.price(torch.arange(ITEMS), rng(seed)).item() for seed in range(5)])
        for step in range(150):
            adam.zero_grad()
            experts.price(torch.arange(ITEMS), rng(100 + step)).backward()
            adam.step()
        last = np.mean([experts.price(torch.arange(ITEMS), rng(seed)).item() for seed in range(5)])

        assert last < first - 0.2, name


# --- a model that is trained ---------------------------------------------------------------------------------------


def csr(histories):
    indptr = np.cumsum([0, *(len(history) for history in histories)]).astype(np.int64)
    return indptr, np.array([item for history in histories for item in history], np.int32)


def a_stage(kind, histories, **changes):
    config = a_config(kind, **{"dimensions": D, "hidden": 8, "dropout": 0.0} | changes).base
    model = SequenceModel(ITEMS, config, seed=1, experts=some_experts(lacking=((10, 31), (11, 31))))
    with torch.no_grad():
        model.encoder.fusion.scale.fill_(0.3)
    train = csr(histories)
    return SequenceStage(model, config, Histories(*train, CPU), NegativeSampler(*train, ITEMS, CPU), lambda: 0.0), model


@pytest.mark.parametrize("loss", ["positions", "last"])
@pytest.mark.parametrize("kind", KINDS)
def test_an_answer_is_given_by_the_vector_that_serving_makes_of_the_items_before(kind, loss):
    stage, model = a_stage(kind, HISTORIES, loss=loss, **({"masked": 0.0} if kind == "bert4rec" else {}))
    windows = Histories(*csr(HISTORIES), CPU).moments()

    answers = stage.answers(windows, rng())

    vectors = model.vectors()
    ends = (windows.ends - windows.starts).tolist()
    at = torch.arange(len(ends))
    if kind == "sasrec" and loss == "positions":
        at = torch.cumsum(torch.tensor([min(end, 7) - 1 for end in ends]), 0) - 1  # the last place of each window
    window = 6 if kind == "sasrec" else 5
    before = [
        np.array(HISTORIES[user][max(0, end - 1 - window) : end - 1], np.int32)
        for user, end in zip(windows.users.tolist(), ends, strict=True)
    ]
    served = model.encoder.user_vectors(before, vectors)
    np.testing.assert_allclose(answers.states[at].detach(), served, atol=1e-5)


@pytest.mark.parametrize("kind", KINDS)
def test_the_item_that_is_asked_for_does_not_reach_the_answer(kind):
    """Neither itself nor through the mean of what the reader has seen, nor through its features."""
    both = []
    for asked in (12, 47):
        stage, _ = a_stage(kind, [[10, 11, asked]], **({"masked": 0.0} if kind == "bert4rec" else {}))
        windows = Histories(*csr([[10, 11, asked]]), CPU).moments()
        both.append(stage.answers(windows[torch.tensor([1])], rng()))

    torch.testing.assert_close(both[0].states, both[1].states)
    assert [int(answers.items[-1]) for answers in both] == [12, 47]


@pytest.mark.parametrize("kind", KINDS)
def test_every_weight_learns(kind):
    stage, model = a_stage(kind, HISTORIES)
    before = {name: value.detach().clone() for name, value in model.named_parameters()}

    stage.epoch(rng())

    same = [name for name, value in model.named_parameters() if torch.equal(before[name], value)]
    assert same == []


@pytest.fixture(scope="module", params=KINDS)
def trained(request, tmp_path_factory):
    config = a_config(request.param, schedule={"epochs": 6, "validate_every": 2}, contexts_per_user=3)
    experiment = an_experiment(config)
    return experiment, config.base, train_base(experiment, config.base, tmp_path_factory.mktemp("b") / "a", CPU)


def test_vectors_are_what_serving_makes_of_a_users_history(trained):
    experiment, config, base = trained
    served = PrismEncoder.load(base.history.network, 8, base.history.arrays())

    assert base.model == base.history.network.kind == f"prism_{config.model}"
    rows = len(base.items) + len(experiment.dataset.cold.ids)
    assert base.history.arrays()["experts"].shape == (rows, 4, 8)
    for row in (0, 57, int(np.flatnonzero(experiment.folded_in)[0])):
        before_test = experiment.held_out.history(row, with_validation=True)
        u = served.user_vectors([before_test, experiment.held_out.history(row)], base.items)
        np.testing.assert_allclose([base.users[row], base.selection[row]], u, atol=1e-6)


def test_modalities_are_read(trained):
    """Without them the same weights give other vectors."""
    experiment, _, base = trained
    arrays = base.history.arrays()
    silent = PrismEncoder.load(
        base.history.network, 8, arrays | {"fusion.scale": np.zeros(1, np.float32), "modal": arrays["modal"] * 0}
    )

    history = [experiment.held_out.history(3, with_validation=True)]

    assert np.abs(silent.user_vectors(history, base.items) - base.users[3]).max() > 1e-2


def test_a_seeded_run_repeats_and_a_broken_one_goes_on_as_if_unbroken(trained, tmp_path, broken_off):
    experiment, config, once = trained

    again = train_base(experiment, config, tmp_path / "again", CPU)
    unfinished = config.model_copy(update={"schedule": config.schedule.model_copy(update={"epochs": 2})})
    train_base(experiment, unfinished, tmp_path / "resumed", CPU)
    broken_off(tmp_path / "resumed")
    resumed = train_base(experiment, config, tmp_path / "resumed", CPU)

    for other in (again, resumed):
        assert np.array_equal(once.items, other.items)
        assert np.array_equal(once.users, other.users)
        assert all(np.array_equal(a, other.history.arrays()[name]) for name, a in once.history.arrays().items())


def test_training_knows_nothing_of_cold_items(trained, tmp_path):
    experiment, config, base = trained
    dataset, count = experiment.dataset, len(base.items)
    warm = tuple(replace(each, values=each.values[:count], present=each.present[:count]) for each in dataset.modalities)
    without = replace(experiment, dataset=replace(dataset, modalities=warm, cold=type(dataset.cold)()))

    other = train_base(without, config, tmp_path / "without", CPU)

    assert np.array_equal(base.items, other.items)
    assert np.array_equal(base.users, other.users)
    assert len(other.history.arrays()["modal"]) == count


def test_a_base_without_it_is_what_it_was(trained, tmp_path):
    """The addition changes no number of the model alone."""
    experiment, config, _ = trained
    plain = config.model_copy(update={"prism": None})
    featureless = replace(
        experiment, dataset=replace(experiment.dataset, modalities=(), cold=type(experiment.dataset.cold)())
    )

    one, other = (train_base(each, plain, tmp_path / str(n), CPU) for n, each in enumerate((experiment, featureless)))

    assert one.model == config.model
    assert np.array_equal(one.users, other.users)


# --- refusals ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("prism", "said"),
    [
        ({"modalities": ["looks", "smell"]}, r"base\.prism\.modalities: 'smell' is no modality; allowed: looks, sound"),
    ],
)
def test_a_modality_that_the_data_do_not_have_is_refused(prism, said):
    with pytest.raises(ConfigError, match=said):
        an_experiment(a_config("sasrec", prism=prism))


def test_data_without_features_are_refused():
    data = {name: value for name, value in DATA.items() if name not in ("modalities", "cold_items", "featureless")}

    with pytest.raises(ConfigError, match=r"base\.prism: needs item features; allowed: with data\.modalities"):
        an_experiment(a_config("bert4rec", data=data))


def test_a_modality_that_hardly_any_item_has_is_refused():
    config = a_config("sasrec")
    experiment = an_experiment(config)
    looks = experiment.dataset.modalities[0]
    few = replace(looks, present=np.arange(len(looks.present)) < 9)
    dataset = replace(experiment.dataset, modalities=(few, experiment.dataset.modalities[1]))

    with pytest.raises(TooLittleDataError, match=r"items with modality 'looks' and a training positive: [1-9]; needed"):
        experiment_of(config, dataset)


def test_a_base_that_reads_no_order_is_refused():
    with pytest.raises(ValueError, match=r"model 'pmf' is none; allowed: with model 'sasrec' or 'bert4rec'"):
        a_config("pmf")


def test_a_modality_named_twice_is_refused():
    with pytest.raises(ValueError, match="'looks' stands there twice"):
        a_config("sasrec", prism={"modalities": ["looks", "looks"]})


def test_pfrec_which_reads_items_alone_is_refused():
    fields = a_config("sasrec").model_dump() | {"fair": {"method": "pfrec"}}
    config = RunConfig.model_validate(fields)

    with pytest.raises(ConfigError, match=r"fair\.method: 'pfrec' reads histories of items alone.*without prism"):
        an_experiment(config)


def test_chosen_modalities_alone_are_read():
    config = a_config("sasrec", prism={"modalities": ["sound"]})

    experts = experts_of(an_experiment(config), config.base.prism, 8)

    assert experts.count == 1
    assert experts.present.shape[1] == 1
