"""Vectors that another library trained: read from any of four forms, aligned by id, refused by file and row."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest
from safetensors.numpy import save_file

from training.base.vectors import VectorsConfig, read_brought_vectors
from training.data.vector_file import VectorTable, read_vectors
from training.errors import DataError

IDS = ["u1", "u2", "u3"]
VALUES = np.array([[0.5, -1.25, 2.0], [3.0, 0.125, -0.75], [0.0, 1.0, 4.5]], np.float32)


def as_parquet_lists(folder):
    pl.DataFrame({"id": IDS, "vector": VALUES.tolist()}).write_parquet(folder / "v.parquet")
    return {"file": "v.parquet"}


def as_parquet_columns(folder):
    columns = {f"f{place}": VALUES[:, place] for place in range(3)}
    pl.DataFrame({"user": IDS, **columns}).write_parquet(folder / "v.parquet")
    return {"file": "v.parquet", "id": "user"}


def with_ids(folder):
    (folder / "ids.txt").write_text("\n".join(IDS) + "\n")
    return {"ids": "ids.txt"}


def as_npy(folder):
    np.save(folder / "v.npy", VALUES.astype(np.float64))
    return {"file": "v.npy"} | with_ids(folder)


def as_safetensors(folder):
    save_file({"embedding": VALUES, "other": VALUES[:1]}, folder / "v.safetensors")
    return {"file": "v.safetensors", "tensor": "embedding"} | with_ids(folder)


def as_word2vec(folder):
    lines = [f"{name} {' '.join(map(str, row))}" for name, row in zip(IDS, VALUES.tolist(), strict=True)]
    (folder / "v.txt").write_text("3 3\n" + " \n".join(lines) + " \n")
    return {"file": "v.txt"}


FORMS = [as_parquet_lists, as_parquet_columns, as_npy, as_safetensors, as_word2vec]


@pytest.mark.parametrize("form", FORMS)
def test_every_form_gives_the_same_ids_and_numbers(form, tmp_path):
    table = read_vectors(tmp_path, VectorTable.model_validate(form(tmp_path)))

    assert table.ids.to_list() == IDS
    assert np.array_equal(table.values, VALUES)
    assert table.values.dtype == np.float32


def broken(tmp_path, form, *, ids=None, values=None, text=None):
    config = form(tmp_path)
    if ids is not None:
        (tmp_path / "ids.txt").write_text("\n".join(ids) + "\n")
    if values is not None:
        np.save(tmp_path / "v.npy", values)
    if text is not None:
        (tmp_path / "v.txt").write_text(text)
    with pytest.raises(DataError) as refused:
        read_vectors(tmp_path, VectorTable.model_validate(config))
    return str(refused.value)


NAN = np.where(np.arange(9).reshape(3, 3) == 4, np.nan, VALUES)


@pytest.mark.parametrize(
    ("form", "broken_by", "said"),
    [
        (as_npy, {"ids": ["u1", "u2"]}, "ids.txt: 2 ids; allowed: 3"),
        (as_npy, {"ids": ["u1", "u2", "u1"]}, "v.npy, row 3, column 'id': 'u1' stands in an earlier row"),
        (as_npy, {"ids": ["u1", "", "u3"]}, "ids.txt, line 2"),
        (as_npy, {"values": NAN}, "v.npy, row 2: nan is not a finite number"),
        (as_npy, {"values": VALUES.astype(np.float64) * 1e300}, "v.npy, row 1"),
        (as_npy, {"values": VALUES[0]}, "v.npy: 'float32 (3,)' is what it holds; allowed: a matrix"),
        (as_npy, {"values": np.array([{}], object)}, "v.npy: "),
        (as_word2vec, {"text": "2 3\nu1 1 2 3\n"}, "v.txt: 1 vectors; allowed: 2, as line 1 says"),
        (as_word2vec, {"text": "u1 1 2 3\n"}, "v.txt, line 1"),
        (as_word2vec, {"text": "2 3\nu1 1 2 3\nu2 1 2\n"}, "v.txt, line 3"),
        (as_word2vec, {"text": "2 3\nu1 1 2 x\nu2 1 2 3\n"}, "v.txt, line 2"),
        (as_word2vec, {"text": "1 3\nu1 1 inf 3\n"}, "v.txt, line 2"),
        (as_word2vec, {"text": "0 3\n"}, "v.txt, line 1: '0 3' has no vectors; allowed: a count of 1 or more"),
        (as_word2vec, {"text": "2 0\nu1\nu2\n"}, "v.txt: 0 dimensions; allowed: 1 or more"),
        (as_npy, {"values": VALUES[:, :0]}, "v.npy: 0 dimensions; allowed: 1 or more"),
    ],
)
def test_what_is_no_vector_is_refused_by_file_and_row(form, broken_by, said, tmp_path):
    assert said in broken(tmp_path, form, **broken_by)


def test_a_pickle_is_not_run(tmp_path):
    message = broken(tmp_path, as_npy, values=np.array([{}, {}, {}], object))

    assert "v.npy: " in message
    assert "is not readable" in message


@pytest.mark.parametrize(
    ("second", "said"),
    [(None, "row 2, column 'vector'"), ([1.0, 2.0], "row 2, column 'vector'"), ([1.0, None, 3.0], "row 2")],
)
def test_lists_of_different_lengths_are_refused_by_row(second, said, tmp_path):
    frame = pl.DataFrame({"id": IDS, "vector": [[1.0, 2.0, 3.0], second, [1.0, 2.0, 3.0]]})
    frame.write_parquet(tmp_path / "v.parquet")

    with pytest.raises(DataError, match=said):
        read_vectors(tmp_path, VectorTable(file="v.parquet"))


def two_tables(folder, u, v, **biases):
    for name, vectors in (("users", u), ("items", v)):
        columns = {"id": [f"{name[0]}{row}" for row in range(len(vectors))], "vector": vectors.tolist()}
        if name in biases:
            columns["bias"] = biases[name]
        pl.DataFrame(columns).write_parquet(folder / f"{name}_vectors.parquet")
    tables = {
        name: {"file": f"{name}_vectors.parquet"} | ({"biases": "bias"} if name in biases else {})
        for name in ("users", "items")
    }
    return VectorsConfig.model_validate(tables)


def test_scores_with_biases_are_inner_products_of_what_is_brought(tmp_path):
    rng = np.random.default_rng(1)
    u, v, b_u, b_i = (rng.normal(size=shape) for shape in ((4, 3), (5, 3), 4, 5))

    brought = read_brought_vectors(two_tables(tmp_path, u, v, users=b_u, items=b_i), tmp_path)

    assert np.allclose(brought.users @ brought.items.T, u @ v.T + b_u[:, None] + b_i, atol=1e-6)
    assert brought.constants == 1
    assert np.array_equal(brought.users[:, -1], np.ones(4))


def test_a_user_bias_alone_is_no_constant(tmp_path):
    rng = np.random.default_rng(1)
    u, v, b_u = (rng.normal(size=shape) for shape in ((4, 3), (5, 3), 4))

    assert read_brought_vectors(two_tables(tmp_path, u, v, users=b_u), tmp_path).constants == 0


def test_a_last_factor_that_is_1_for_every_user_is_an_item_bias(tmp_path):
    rng = np.random.default_rng(1)
    u, v = np.hstack([rng.normal(size=(4, 3)), np.ones((4, 1))]), rng.normal(size=(5, 4))

    brought = read_brought_vectors(two_tables(tmp_path, u, v), tmp_path)

    assert (brought.constants, brought.varying) == (1, 3)


def test_tables_of_different_dimensions_are_refused(tmp_path):
    with pytest.raises(DataError, match=r"users_vectors.parquet: 3 dimensions; allowed: 2, as in items_vectors"):
        read_brought_vectors(two_tables(tmp_path, VALUES, VALUES[:, :2]), tmp_path)
