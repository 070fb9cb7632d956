#!/usr/bin/env bash
# milvus-lite 3.2.2 with pymilvus 3.0.2: pages of one search (`limit` with `offset`) repeat tied items and never show others.
#
# Guess written down before: equal scores come in the order of their keys, so pages are pieces of the one long list.
# Seen: each page picks the first offset + limit anew, and which of the tied items are among them changes with that number.
# With 40 zero vectors (items that nobody touched) in 60, six pages of ten hold 60 places, fewer than 50 items among them, and
# the rest is on no page; one search for 60 has them all. FLAT, an exact index. The server orders equal scores by key since a
# repair of October 2025 (milvus pull request 44870), so a test against the small stand-in says little about it.
# For us: pages are cut out of one order that all items have, score and then row (service/index/order.py, approximate.py).
set -euo pipefail
folder=$(mktemp -d) && trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check milvus-lite==3.2.2 pymilvus==3.0.2 numpy==2.4.6 pandas==3.1.1
(cd "$folder" && venv/bin/python - "$folder/items.db") <<'PYTHON'
import sys

import numpy as np
from pymilvus import DataType, MilvusClient

items = np.random.default_rng(0).normal(size=(60, 8)).astype(np.float32)
query = items[0].tolist()
items[20:] = 0
client = MilvusClient(sys.argv[1])
schema = MilvusClient.create_schema(auto_id=False)
schema.add_field("id", DataType.INT64, is_primary=True)
schema.add_field("vector", DataType.FLOAT_VECTOR, dim=8)
index = MilvusClient.prepare_index_params()
index.add_index("vector", index_type="FLAT", metric_type="IP")
client.create_collection("items", schema=schema, index_params=index)
client.insert("items", [{"id": row, "vector": items[row].tolist()} for row in range(60)])


def page(limit, offset):
    found = client.search("items", [query], limit=limit, search_params={"metric_type": "IP", "offset": offset})
    return [each["id"] for each in found[0]]


whole = page(60, 0)
pages = [row for start in range(0, 60, 10) for row in page(10, start)]
print(f"one search: {len(set(whole))} items; six pages: {len(pages)} places, {len(set(pages))} items")
assert len(set(whole)) == 60 and len(pages) == 60 and len(set(pages)) < 55
client.close()
PYTHON
