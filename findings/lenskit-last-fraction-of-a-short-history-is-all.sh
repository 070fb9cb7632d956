#!/usr/bin/env bash
# lenskit 2025.8.1: `LastFrac(0.2)` puts the whole of a history of one or two items into the test set, and none into training.
#
# Expected: what `SampleFrac(0.2)` does with the same history. A fifth of two rounds to 0 items for the test.
# Seen: `SampleFrac` takes 0 of them, `LastFrac` takes both: "the last 0" of a list is written as all of it. The shorter the
# history, the more of it is tested, up to 100 %, and these users are strangers to the model. No warning; where short
# histories are common, a split by time is then mostly a test of cold start.
# For us: nothing is held out of fewer than three positives, and one always stays for training (training/data/split.py).
set -euo pipefail
folder=$(mktemp -d) && trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check lenskit==2025.8.1 torch==2.13.0 numpy==2.4.6 pandas==2.3.3
"$folder/venv/bin/python" - <<'PYTHON'
import warnings

import pandas as pd
from lenskit.data import from_interactions_df
from lenskit.splitting import LastFrac, SampleFrac, sample_users

warnings.simplefilter("ignore")
lengths = {"one": 1, "two": 2, "three": 3, "ten": 10}
rows = [(user, item, item) for user, length in lengths.items() for item in range(length)]
dataset = from_interactions_df(pd.DataFrame(rows, columns=["user_id", "item_id", "timestamp"]))
tested = {}
for method in (SampleFrac(0.2, rng=1), LastFrac(0.2)):
    split = sample_users(dataset, len(lengths), method, rng=1)
    taken = {key.user_id: len(items) for key, items in split.test.items()}
    tested[type(method).__name__] = {user: taken.get(user, 0) for user in lengths}
    print(type(method).__name__, tested[type(method).__name__], "left for training:", split.train.interaction_count)
assert tested["SampleFrac"] == {"one": 0, "two": 0, "three": 1, "ten": 2}
assert tested["LastFrac"] == {"one": 1, "two": 2, "three": 1, "ten": 2}
PYTHON
