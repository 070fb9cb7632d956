#!/usr/bin/env bash
# lenskit 2025.8.1: the means of `RunAnalysis.measure(outputs, test)` leave out users who have a test item and no list.
#
# Guess written down before: such a user counts 0, as an empty list does; each metric has a default for "no recommendations".
# Seen: only users in `outputs` are looked at. A run that comes from a table has no rows for users that nothing was
# recommended to, so a model that serves half of the users perfectly has a mean recall of 1.0, and .5 where the same
# users come with empty lists. No warning; there is one for a list without test items, the other way round.
# For us: every user with a held-out item is in every mean (measure/accuracy.py); whoever evaluates with lenskit adds empty lists.
set -euo pipefail
folder=$(mktemp -d) && trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check lenskit==2025.8.1 torch==2.13.0 numpy==2.4.6 pandas==2.3.3
"$folder/venv/bin/python" - <<'PYTHON'
import pandas as pd
from lenskit.data import ItemList, ItemListCollection
from lenskit.metrics import NDCG, Recall, RunAnalysis

test = ItemListCollection.from_dict({user: ItemList([user]) for user in (1, 2, 3, 4)}, "user_id")
table = pd.DataFrame({"user_id": [1, 2], "item_id": [1, 2], "rank": [1, 1], "score": [1.0, 1.0]})
from_table = ItemListCollection.from_df(table, ["user_id"])
lists = {1: ItemList([1], ordered=True), 2: ItemList([2], ordered=True), 3: ItemList([], ordered=True), 4: ItemList([], ordered=True)}
with_empty = ItemListCollection.from_dict(lists, "user_id")
means = {}
for name, run in (("from a table", from_table), ("with empty lists", with_empty)):
    means[name] = RunAnalysis(Recall(), NDCG()).measure(run, test).list_summary()["mean"].to_dict()
    print(name, {metric: float(value) for metric, value in means[name].items()})
assert all(value == 1.0 for value in means["from a table"].values())
assert all(value == 0.5 for value in means["with empty lists"].values())
PYTHON
