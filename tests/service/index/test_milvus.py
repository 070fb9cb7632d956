"""Milvus, by Milvus Lite: what it is asked, what is kept there, and what happens while it does not answer."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from service.errors import StartError
from service.index import Position, ProposalRanker, SearchBatch, make_ranker, open_index
from service.index import milvus as door
from service.index.exhaustive_ranker import ExhaustiveRanker
from service.index.flat import FlatIndex
from service.index.milvus import MilvusIndex, connection

pymilvus = pytest.importorskip("pymilvus", reason="pymilvus and milvus-lite (extra `milvus`) are not installed")
pytest.importorskip("milvus_lite", reason="pymilvus and milvus-lite (extra `milvus`) are not installed")

NOTHING = np.zeros(0, np.int32)


@pytest.fixture(scope="module")
def url(tmp_path_factory):
    return str(tmp_path_factory.mktemp("milvus") / "lite.db")


def drawn(seed, items=1500):
    return np.random.default_rng(seed).normal(size=(items, 8)).astype(np.float32)


@pytest.mark.parametrize(
    ("url", "given"),
    [
        ("http://db:19530", {"uri": "http://db:19530", "token": "", "db_name": ""}),
        ("https://me:p%40ss@db/shop", {"uri": "https://db:19530", "token": "me:p@ss", "db_name": "shop"}),
        ("https://:tok@db:443", {"uri": "https://db:443", "token": "tok", "db_name": ""}),
        ("http://[::1]:19530", {"uri": "http://[::1]:19530", "token": "", "db_name": ""}),
    ],
)
def test_a_url_says_where_as_whom_and_which_database(url, given):
    assert connection(url) == given


@pytest.mark.parametrize("url", ["milvus", "tcp://db:19530", "http://", "state/lite.sqlite", ""])
def test_what_is_no_url_of_milvus_refuses_the_start(url):
    with pytest.raises(StartError, match="EVENHAND_MILVUS_URL is neither"):
        connection(url)


def test_milvus_needs_a_url():
    with pytest.raises(StartError, match="EVENHAND_MILVUS_URL is not set"):
        open_index(drawn(0), kind="milvus")


def test_a_server_that_is_not_there_refuses_the_start_and_its_token_is_not_told():
    with pytest.raises(StartError, match="EVENHAND_MILVUS_URL cannot be used") as refused:
        MilvusIndex(drawn(0), "http://:hush-hush@127.0.0.1:1")

    assert "hush" not in str(refused.value)
    assert "\n" not in str(refused.value)


def test_without_its_package_the_start_is_refused_by_name(monkeypatch):
    monkeypatch.setitem(sys.modules, "pymilvus", None)

    with pytest.raises(StartError, match="pymilvus is not installed: install evenhand with its extra `milvus`"):
        MilvusIndex(drawn(0), "http://127.0.0.1:1")


def test_its_import_reads_no_env_file_and_leaves_the_environment_alone(tmp_path):
    (tmp_path / ".env").write_text("EVENHAND_SECRET=from-a-file\n")
    code = "import os; from service.index.milvus import _import; before = dict(os.environ); _import(); "
    code += "assert dict(os.environ) == before, set(os.environ) - set(before)"

    subprocess.run(
        [sys.executable, "-c", code],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(Path(door.__file__).parents[2])},
        check=True,
    )


def test_a_second_start_finds_the_collection_of_the_same_vectors_and_no_other(url, monkeypatch):
    vectors = drawn(1)
    first = MilvusIndex(vectors, url)

    with monkeypatch.context() as patch:
        patch.setattr(pymilvus.MilvusClient, "upsert", lambda *_: pytest.fail("filled again"))
        second = MilvusIndex(vectors.copy(), url)
    other = MilvusIndex(drawn(2), url)

    rows = [index.search(vectors[:1], 64, [NOTHING])[0].tolist() for index in (first, second)]
    assert rows[0] == rows[1]
    assert other.parameters.split()[-1] != first.parameters.split()[-1] == second.parameters.split()[-1]


def test_a_fill_that_was_interrupted_is_made_whole_by_the_next_start(url, monkeypatch):
    vectors, fill, calls = drawn(3), pymilvus.MilvusClient.upsert, []

    def interrupted(client, name, rows):
        calls.append(len(rows))
        if len(calls) == 2:
            raise pymilvus.MilvusException(message="gone")
        return fill(client, name, rows)

    monkeypatch.setattr(door, "FILL_BYTES", 500 * vectors[0].nbytes)
    with monkeypatch.context() as patch:
        patch.setattr(pymilvus.MilvusClient, "upsert", interrupted)
        with pytest.raises(StartError, match="gone"):
            MilvusIndex(vectors, url)

    rows, _ = MilvusIndex(vectors, url).search(vectors[:3], 1024, [NOTHING] * 3)

    assert calls == [500, 500]
    assert [len(set(row.tolist()) - {-1}) for row in rows] == [1024] * 3
    assert rows.max() >= 1000


def test_milvus_is_told_what_to_exclude(url):
    vectors = drawn(4)
    index = MilvusIndex(vectors, url)
    best, _ = index.search(vectors[:2], 64, [NOTHING] * 2)

    rows, _ = index.search(vectors[:2], 64, [best[0, :10].astype(np.int32), NOTHING])

    assert not set(rows[0].tolist()) & set(best[0, :10].tolist())
    assert (rows[0] >= 0).all()
    assert rows[1].tolist() == best[1].tolist()


def test_while_milvus_does_not_answer_lists_are_exact_and_say_so_and_then_it_is_asked_again(url, monkeypatch):
    vectors = drawn(5)
    index = MilvusIndex(vectors, url)
    ranker, exact = (
        make_ranker(index, ExhaustiveRanker(vectors)),
        ProposalRanker(FlatIndex(vectors), ExhaustiveRanker(vectors)),
    )
    asked = []

    def lost(*_, **__):
        asked.append(1)
        raise pymilvus.MilvusException(message="connection\nlost")

    with monkeypatch.context() as patch:
        patch.setattr(pymilvus.MilvusClient, "search", lost)
        during = [ranker.top(SearchBatch(vectors[row : row + 1], [NOTHING], [10]))[0] for row in range(5)]
    trouble, left_alone = index.trouble, len(asked)
    index._outage._until = 0.0  # some seconds later
    (after,) = ranker.top(SearchBatch(vectors[:1], [NOTHING], [10]))

    expected = exact.top(SearchBatch(vectors[:5], [NOTHING] * 5, [10] * 5))
    assert [one.rows.tolist() for one in during] == [one.rows.tolist() for one in expected]
    assert trouble == "Milvus does not answer: connection lost"
    assert left_alone == 1
    assert index.trouble is None
    assert len(after.rows) == 10


def test_a_list_that_milvus_began_goes_on_without_it_and_repeats_nothing(url, monkeypatch):
    vectors = drawn(6)
    ranker = make_ranker(MilvusIndex(vectors, url), ExhaustiveRanker(vectors))
    (first,) = ranker.top(SearchBatch(vectors[:1], [NOTHING], [10]))
    monkeypatch.setattr(door._Outage, "lasts", lambda _: True)

    (second,) = ranker.top(SearchBatch(vectors[:1], [NOTHING], [10], [Position(int(first.rows[-1]), 10)]))

    assert not set(first.rows.tolist()) & set(second.rows.tolist())
    assert second.scores[0] <= first.scores[-1]


def test_what_was_measured_while_milvus_did_not_answer_refuses_the_start(url, monkeypatch):
    monkeypatch.setattr(pymilvus.MilvusClient, "search", lambda *_, **__: (_ for _ in ()).throw(OSError("reset")))

    with pytest.raises(StartError, match="Milvus does not answer: reset"):
        open_index(drawn(7), kind="milvus", milvus_url=url)
