"""MovieLens in its original files: tiny ones always, the real ones where they are."""

import os
from pathlib import Path

import numpy as np
import pytest

from training.data.common_config import HeldOutShares
from training.data.config import DATA_CONFIG, AutoConfig, MovieLensConfig
from training.data.load import load
from training.data.split import hold_out
from training.errors import DataError

ML_1M = {
    "ratings.dat": "1::10::5::978300760\n1::2::3::978300761\n2::10::4::978300700\n2::2::5::978300600\n",
    "users.dat": "1::F::1::10::48067\n2::M::56::16::70072\n",
    "movies.dat": "2::Mission: Impossible (1996)::Action|Mystery\n10::Léon (1994)::Drama\n11::Unseen::Drama\n",
}
ML_100K = {
    "u.data": "1\t10\t5\t881250949\n2\t2\t4\t881250950\n2\t10\t1\t881250951\n",
    "u.user": "1|24|M|technician|85711\n2|53|F|other|94043\n",
    "u.genre": "unknown|0\nAction|1\nDrama|2\n\n",
    "u.item": "2|GoldenEye (1995)|01-Jan-1995||http://x|0|1|1\n10|Richard III (1995)|22-Jan-1996||http://x|0|0|1\n",
}


@pytest.fixture
def a_folder(tmp_path):
    def build(files, **changed):
        for name, text in {**files, **{key.replace("_", "."): value for key, value in changed.items()}}.items():
            if text is not None:
                (tmp_path / name).write_bytes(text.encode("latin-1"))
        return tmp_path

    return build


def test_the_files_of_1m_become_the_dataset_they_describe(a_folder):
    dataset = load(MovieLensConfig(min_positives=1), a_folder(ML_1M))

    assert dataset.users == ("1", "2")
    assert dataset.items == ("2", "10")
    assert dataset.titles == ("Mission: Impossible (1996)", "Léon (1994)")
    assert dataset.groups == (("Action", "Mystery"), ("Drama",))
    assert [(a.name, a.classes) for a in dataset.attributes] == [
        ("gender", ("F", "M")),
        ("age", ("under 18", "56+")),
        ("occupation", ("K-12 student", "self-employed")),
    ]
    assert dataset.labels.tolist() == [[0, 0, 0], [1, 1, 1]]
    assert dataset.indices.tolist() == [1, 0, 0, 1]
    assert dataset.positive.tolist() == [True, False, True, True]


def test_the_files_of_100k_become_the_dataset_they_describe(a_folder):
    dataset = load(AutoConfig(min_positives=1), a_folder(ML_100K))

    assert dataset.items == ("2", "10")
    assert dataset.groups == (("Action", "Drama"), ("Drama",))
    assert [(a.name, a.classes) for a in dataset.attributes] == [
        ("gender", ("F", "M")),
        ("age", ("18-24", "50-55")),
        ("occupation", ("other", "technician")),
    ]
    assert dataset.labels.tolist() == [[1, 0, 1], [0, 1, 0]]


def test_attributes_are_chosen_ordered_and_bucketed_by_the_configuration(a_folder):
    config = DATA_CONFIG.validate_python(
        {"reader": "movielens", "min_positives": 1, "attributes": {"age": {"edges": [35]}, "gender": {}}}
    )

    dataset = load(config, a_folder(ML_1M))

    assert [(a.name, a.classes) for a in dataset.attributes] == [("age", ("under 35", "35+")), ("gender", ("F", "M"))]


@pytest.mark.parametrize(
    ("changed", "line", "says"),
    [
        ({"ratings_dat": ML_1M["ratings.dat"][:-8]}, 4, "the file is cut off"),
        ({"ratings_dat": ML_1M["ratings.dat"][:-14]}, 4, "does not have 4 fields"),
        ({"ratings_dat": ML_1M["ratings.dat"].replace("::3::", "::x::")}, 2, "'x' is not a finite number"),
        ({"ratings_dat": ML_1M["ratings.dat"].replace("1::2::", "9::2::")}, 2, "'9' is not in the users table"),
        ({"ratings_dat": ML_1M["ratings.dat"].replace("1::2::", "1::7::")}, 2, "'7' is not in movies.dat"),
        ({"ratings_dat": ""}, None, "is empty"),
        ({"users_dat": ML_1M["users.dat"].replace("F", "X")}, 1, "'X' is not a class; allowed: F, M"),
        ({"users_dat": ML_1M["users.dat"].replace("16", "21")}, 2, "'21' is not a code; allowed: 0 to 20"),
        ({"users_dat": ML_1M["users.dat"].replace("2::M", "1::M")}, 2, "'1' stands in an earlier row too"),
        ({"users_dat": ML_1M["users.dat"].replace("::56::", "::old::")}, 2, "'old' is not a number"),
        ({"movies_dat": ML_1M["movies.dat"].replace("Unseen", "\x1b[2J")}, 3, "is not plain text"),
        ({"movies_dat": None}, None, "movies.dat: cannot be read"),
    ],
)
def test_a_malformed_file_is_refused_with_the_line_named(a_folder, changed, line, says):
    with pytest.raises(DataError) as caught:
        load(MovieLensConfig(min_positives=1), a_folder(ML_1M, **changed))

    assert says in str(caught.value)
    assert caught.value.line == line


def test_a_last_line_that_lacks_only_its_end_is_read(a_folder):
    folder = a_folder(ML_1M, ratings_dat=ML_1M["ratings.dat"].rstrip("\n"))

    assert load(MovieLensConfig(min_positives=1), folder).indices.size == 4


def test_a_genre_flag_that_is_not_one_is_refused(a_folder):
    folder = a_folder(ML_100K, u_item=ML_100K["u.item"].replace("|0|1|1", "|0|2|1"))

    with pytest.raises(DataError, match=r"u\.item, line 1, column 'genre 1': '2' is not a flag"):
        load(MovieLensConfig(min_positives=1), folder)


def test_nobody_left_is_an_error_that_says_why(a_folder):
    with pytest.raises(DataError, match="no user has 10 or more positives"):
        load(MovieLensConfig(), a_folder(ML_1M))


def test_a_folder_without_ratings_is_refused(tmp_path):
    with pytest.raises(DataError, match="has no MovieLens ratings"):
        load(MovieLensConfig(), tmp_path)


def real(name: str) -> Path:
    folder = os.environ.get("EVENHAND_DATA")
    if not folder:
        pytest.skip("EVENHAND_DATA is not set")
    return Path(folder) / name


@pytest.mark.data
def test_the_real_1m_has_the_counts_of_the_paper():
    dataset = load(MovieLensConfig(), real("ml-1m"))

    counts = [np.bincount(dataset.labels[:, column]).tolist() for column in range(3)]
    assert len(dataset.users) == 5950
    assert len(dataset.items) == 3532
    assert counts[0] == [1682, 4268]
    assert counts[1] == [218, 1076, 2076, 1176, 540, 488, 376]
    assert len(counts[2]) == 21
    assert [a.classes[0] for a in dataset.attributes] == ["F", "under 18", "other or not specified"]
    assert hold_out(dataset).train_indices.size == 562_719


@pytest.mark.data
def test_the_real_1m_has_the_counts_of_itfrs_protocol():
    """Users, items and interactions of Wang et al., WWW 2024; shares of a user's positives, at least one each."""
    six = ("Sci-Fi", "Adventure", "Crime", "Romance", "Children's", "Horror")
    config = MovieLensConfig(
        positive_at_least=1, min_positives=5, only_groups=six, core=5, held_out=HeldOutShares(validation=0.1, test=0.2)
    )
    dataset = load(config, real("ml-1m"))

    assert (len(dataset.users), len(dataset.items), len(dataset.indices)) == (5_977, 1_200, 396_207)
    assert {len(groups) for groups in dataset.groups} == {1}
    held = hold_out(dataset, config.held_out, "evenhand")
    counts = [len(held.train_indices), len(held.shares.validation[1]), len(held.shares.test[1])]
    assert np.array(counts) / 396_207 == pytest.approx([0.7, 0.1, 0.2], abs=0.005)
    assert min(np.diff(held.train_indptr).min(), *(np.diff(part[0]).min() for part in vars(held.shares).values())) >= 1


@pytest.mark.data
def test_the_real_100k_is_recognised_and_read():
    dataset = load(AutoConfig(), real("ml-100k"))

    assert (len(dataset.users), len(dataset.items), dataset.indices.size) == (897, 1447, 98_152)
    assert [len(attribute.classes) for attribute in dataset.attributes] == [2, 7, 21]
    assert (dataset.labels >= 0).all()
