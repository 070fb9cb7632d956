"""Milvus behind the same interface: a cluster by URL, or Milvus Lite in a file. The one door to pymilvus.

The name of a collection is a hash of its vectors: replicas share it, a rollback finds it again, and its content never
changes. An incomplete one (after an interrupted start, or while another replica fills it) is filled again by primary
key, which overwrites. The operator drops collections of models that are no longer served.

Exact scores need the vectors in this process, so Milvus saves the search but no memory. While it does not answer, lists
are made without it, exactly and more slowly; some seconds later it is asked again.
"""

from __future__ import annotations

import logging
import os
import weakref
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from copy import copy
from hashlib import blake2b
from pathlib import Path
from time import monotonic, sleep
from typing import Any, Literal
from urllib.parse import unquote, urlsplit

import numpy as np
from numpy.typing import NDArray

from service.errors import StartError
from service.index.interface import SPARSE, WINDOWS, Dropped, Proposals

PREFIX = "evenhand_"
LINKS, CONSTRUCTION = 32, 128
MOST_EFFORT, MOST_EF = 32, 32_768
FILL_BYTES = 4 * 2**20
"""Bytes of vectors in one request that fills a collection."""
MOST_FILTERED = 4096
"""Most rows in a filter; the ranker drops the others."""
TOGETHER = 8
"""Most searches at once: each row has its own, because it has its own filter."""
CONNECT_S, SEARCH_S, READY_S = 5.0, 1.0, 900.0
RETRY_S = 5.0
"""Time without requests to a Milvus that did not answer."""


class MilvusIndex:
    """Proposes the finds of Milvus's HNSW, which excludes dropped rows. ``effort × count`` is its ``ef``."""

    kind: Literal["milvus"] = "milvus"
    device: Literal["remote"] = "remote"
    max_count = WINDOWS[-1]

    def __init__(self, vectors: NDArray[np.float32], url: str) -> None:
        """Find the collection of these (I, d) vectors, or make and fill it; blocks until it can be searched.

        Raises:
            StartError: pymilvus is not installed, or Milvus cannot be used.
        """
        self._milvus, self._failures = _import()
        self._effort = 1
        self._keeps: MilvusIndex | None = None
        self._name = PREFIX + blake2b(vectors.data, digest_size=16, person=b"%d" % vectors.shape[1]).hexdigest()
        self.windows = tuple(count for count in WINDOWS if count * SPARSE <= len(vectors))
        try:
            self._client = self._milvus.MilvusClient(**connection(url), timeout=CONNECT_S)
            weakref.finalize(self, self._client.close)
            self._prepare(vectors)
        except self._failures as error:
            raise StartError(f"EVENHAND_MILVUS_URL cannot be used: {_brief(error)}") from None
        self._threads = ThreadPoolExecutor(TOGETHER, "milvus")
        weakref.finalize(self, self._threads.shutdown, wait=False)
        self._outage = _Outage()

    @property
    def parameters(self) -> str:
        """For operators."""
        return f"HNSW M={LINKS} efConstruction={CONSTRUCTION} ef={self._effort}x {self._name}"

    @property
    def trouble(self) -> str | None:
        """Why lists are made without Milvus at this moment; None where they are not."""
        return self._outage.reason

    def at(self, effort: int) -> MilvusIndex | None:
        """The same collection, searched at another effort."""
        if effort > MOST_EFFORT or not self.windows:
            return None
        other = copy(self)
        other._effort = effort
        other._keeps = self  # when it is freed, it closes the client that both use
        return other

    def search(self, vectors: NDArray[np.float32], count: int, dropped: Dropped) -> Proposals:
        """(B, d) vectors → rows (B, count), -1 after the last one, and scores; none while Milvus does not answer."""
        rows = np.full((len(vectors), count), -1, np.int64)
        scores = np.full((len(vectors), count), -np.inf, np.float32)
        if self._outage.lasts():
            return rows, scores
        try:
            found = list(self._threads.map(lambda u, gone: self._ask(u, count, gone), vectors, dropped))
        except self._failures as error:
            self._outage.begin(f"Milvus does not answer: {_brief(error)}")
            return rows, scores
        self._outage.end()
        for row, (items, near) in enumerate(found):
            rows[row, : len(items)], scores[row, : len(items)] = items, near
        return rows, scores

    def _ask(self, u: NDArray[np.float32], count: int, dropped: NDArray[np.int32]) -> tuple[Any, Any]:
        excluded = np.unique(dropped)[:MOST_FILTERED].tolist()
        (hits,) = self._client.search(
            self._name,
            data=u[None],
            anns_field="vector",
            limit=count,
            filter=f"row not in {excluded}" if excluded else "",
            output_fields=["row"],
            search_params={"metric_type": "IP", "params": {"ef": min(self._effort * count, MOST_EF)}},
            timeout=SEARCH_S,
        )
        return hits.ids, hits.distances

    def _prepare(self, vectors: NDArray[np.float32]) -> None:
        client = self._client
        if not client.has_collection(self._name):
            self._create(vectors.shape[1])
        if self._count("Strong") < len(vectors):
            step = max(1, FILL_BYTES // vectors[0].nbytes)
            for start in range(0, len(vectors), step):
                block = vectors[start : start + step]
                client.upsert(self._name, [{"row": start + at, "vector": each} for at, each in enumerate(block)])
            client.flush(self._name)
        client.load_collection(self._name)
        _wait(lambda: self._count("Bounded") >= len(vectors))
        _wait(lambda: not int(client.describe_index(self._name, "vector").get("pending_index_rows", 0)))

    def _create(self, d: int) -> None:
        kinds, client = self._milvus.DataType, self._client
        schema = client.create_schema(auto_id=False, enable_dynamic_field=False)
        schema.add_field("row", kinds.INT64, is_primary=True)
        schema.add_field("vector", kinds.FLOAT_VECTOR, dim=d)
        index = client.prepare_index_params()
        graph = {"M": LINKS, "efConstruction": CONSTRUCTION}
        index.add_index("vector", index_type="HNSW", metric_type="IP", params=graph)
        try:
            client.create_collection(self._name, schema=schema, index_params=index)
        except self._milvus.MilvusException:
            if not client.has_collection(self._name):  # else another replica was quicker
                raise

    def _count(self, consistency: str) -> int:
        self._client.load_collection(self._name)
        (answer,) = self._client.query(self._name, output_fields=["count(*)"], consistency_level=consistency)
        return int(answer["count(*)"])


class _Outage:
    """Whether Milvus gets no requests at this moment, and why."""

    def __init__(self) -> None:
        self.reason: str | None = None
        self._until = 0.0

    def lasts(self) -> bool:
        return monotonic() < self._until

    def begin(self, reason: str) -> None:
        self._until, self.reason = monotonic() + RETRY_S, reason

    def end(self) -> None:
        self._until, self.reason = 0.0, None


def connection(url: str) -> dict[str, str]:
    """Arguments of pymilvus for a URL: ``http[s]://[USER:PASSWORD@|TOKEN@]HOST:PORT[/DATABASE]``, or a file ``….db``.

    Raises:
        StartError: it is neither.
    """
    parts = urlsplit(url)
    if parts.scheme in ("http", "https") and parts.hostname:
        named = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
        who = [unquote(each) for each in (parts.username, parts.password) if each]
        given = {"uri": f"{parts.scheme}://{named}:{parts.port or 19530}", "token": ":".join(who)}
        return {**given, "db_name": parts.path.strip("/")}
    if not parts.scheme and url.endswith(".db"):
        Path(url).absolute().parent.mkdir(parents=True, exist_ok=True)
        return {"uri": url}
    raise StartError("EVENHAND_MILVUS_URL is neither http(s)://HOST:PORT nor a file that ends in .db")


def _brief(error: Exception) -> str:
    """One line of an error; messages of gRPC have many."""
    said = getattr(error, "message", None) or (error.details() if hasattr(error, "details") else None) or str(error)
    return " ".join(str(said).split())[:200]


def _wait(done: Callable[[], bool]) -> None:
    limit = monotonic() + READY_S
    while not done():
        if monotonic() > limit:
            raise StartError(f"EVENHAND_MILVUS_URL: the collection is not ready after {READY_S:.0f} s")
        sleep(0.2)


def _import() -> tuple[Any, tuple[type[Exception], ...]]:
    """Pymilvus and its exceptions. Its import may neither read a file .env into the environment nor log."""
    before = os.environ.get("PYTHON_DOTENV_DISABLED")
    os.environ["PYTHON_DOTENV_DISABLED"] = "1"
    try:
        import grpc  # type: ignore[import-not-found, import-untyped, unused-ignore]
        import pymilvus  # type: ignore[import-not-found, import-untyped, unused-ignore]  # an optional package
    except ImportError as error:
        raise StartError(
            f"EVENHAND_INDEX is milvus, but {error.name} is not installed: install evenhand with its extra `milvus`"
        ) from None
    finally:
        if before is None:
            del os.environ["PYTHON_DOTENV_DISABLED"]
        else:
            os.environ["PYTHON_DOTENV_DISABLED"] = before
    for name in ("pymilvus", "pymilvus.milvus_client"):
        logging.getLogger(name).setLevel(logging.CRITICAL)
    return pymilvus, (pymilvus.MilvusException, grpc.RpcError, OSError)
