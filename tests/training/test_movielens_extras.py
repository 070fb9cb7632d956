"""Plots and audio beside MovieLens-1M."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest

from training.data.config import DATA_CONFIG
from training.data.load import load
from training.errors import DataError

MODALITIES = {"plot": {"text": "plot", "dimensions": 2}, "audio": {}, "genres": {"text": "groups", "dimensions": 2}}
PLOTS = {"1": "Toys come alive.", "2": "Toys at war.", "3": "N/A", "5": "A war comes alive."}
GENRES = ("Drama", "War", "Drama", "War", "Comedy")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Six users, five films, of which nobody touches the last, and extras that lack the fourth."""
    data, extras = tmp_path / "ml-1m", tmp_path / "extra"
    (extras / "neo-mmlgcn").mkdir(parents=True)
    data.mkdir()
    people = [f"{user}::{'FM'[user % 2]}::25::4::00000" for user in range(1, 7)]
    films = [f"{film}::Film {film} (1999)::{GENRES[film - 1]}" for film in range(1, 6)]
    ratings = [f"{user}::{film}::5::{978300000 + film}" for user in range(1, 7) for film in range(1, 5)]
    plots = [f"{film}::T::1999::G::x::g::d::w::a::{plot}::N/A" for film, plot in PLOTS.items()]
    for name, lines in {"users": people, "movies": films, "ratings": ratings}.items():
        (data / f"{name}.dat").write_text("\n".join(lines) + "\n")
    (extras / "movies_extrainfos.dat").write_text("\r\n".join(plots) + "\r\n")
    (extras / "neo-mmlgcn" / "item_map.tsv").write_text("row\tmovie_id\n0\t2\n1\t5\n")
    np.save(extras / "neo-mmlgcn" / "audio_items.npy", np.array([[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]]))
    return data


def config(**fields):
    said = {"reader": "movielens", "extras": "../extra", "min_positives": 3, "modalities": MODALITIES}
    return DATA_CONFIG.validate_python(said | {"attributes": ["gender"]} | fields)


def test_plots_and_audio_are_found_by_film(folder):
    found = load(config(), folder)

    by_name = {each.name: each for each in found.modalities}
    assert (found.items, found.cold.ids) == (("1", "2", "3", "4"), ("5",))
    assert by_name["plot"].present.tolist() == [True, True, False, False, True]
    assert by_name["genres"].present.tolist() == [True, True, True, True, False]  # comedy, nowhere else
    np.testing.assert_array_equal(by_name["audio"].values[[1, 4]], [[1, 2, 3], [4, 5, 6]])
    assert by_name["audio"].present.tolist() == [False, True, False, False, True]


def test_a_map_of_another_length_is_refused(folder):
    (folder / "../extra/neo-mmlgcn/item_map.tsv").write_text("row\tmovie_id\n0\t2\n")

    with pytest.raises(DataError, match=r"item_map.tsv: 1 rows; allowed: 2, as in audio_items.npy"):
        load(config(), folder)


def test_extras_that_are_not_there_are_refused(folder):
    with pytest.raises(DataError, match=r"nowhere: is not a folder \(data.extras\)"):
        load(config(extras="../nowhere"), folder)


@pytest.mark.skipif("EVENHAND_DATA" not in os.environ, reason="EVENHAND_DATA names no folder")
def test_the_published_files_are_read():
    data = Path(os.environ["EVENHAND_DATA"])
    if not (data / "ml-1m-extra").is_dir():
        pytest.skip("no ml-1m-extra there")

    found = load(config(extras="../ml-1m-extra", min_positives=10), data / "ml-1m")

    have = {each.name: int(each.present.sum()) for each in found.modalities}
    assert have["audio"] == 3081
    assert have["plot"] > 3500
