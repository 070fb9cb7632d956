#!/usr/bin/env bash
# ir-measures 0.4.3 with pytrec-eval-terrier 0.5.11: two measures of one call can be of two different orders.
#
# Guess written down before: scores are compared as the doubles that they are, so all measures see the same first item.
# Seen: AP, nDCG and RR go to trec_eval, which keeps scores as float32 and orders what is then equal by id, last id first;
# RR@10 goes to other code, which compares doubles. Scores that are times (seconds since 1970; "newest first") are 128
# seconds apart at least in float32, so a list of one evening is ordered by id. Counts above 16.7 million meet the same.
# For us: whoever evaluates lists elsewhere hands over ranks (k, k - 1, ..., 1) and never scores; our own measures take lists of
# items, in the order in which they were served (measure/ranking.py).
set -euo pipefail
folder=$(mktemp -d) && trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check ir-measures==0.4.3 pytrec-eval-terrier==0.5.11 numpy==2.4.6
"$folder/venv/bin/python" - <<'PYTHON'
import ir_measures
from ir_measures import AP, RR, nDCG

liked = {"user": {"a": 1}}
newest_first = {"user": {"a": 1_700_000_030.0, "b": 1_700_000_020.0, "c": 1_700_000_010.0}}
ranks = {"user": {"a": 3.0, "b": 2.0, "c": 1.0}}
measures = [RR @ 10, RR, AP, nDCG @ 10]
by_time, by_rank = (ir_measures.calc_aggregate(measures, liked, run) for run in (newest_first, ranks))
for measure in measures:
    print(f"{measure}: scores are times {by_time[measure]:.3f}, the same order as ranks {by_rank[measure]:.3f}")
assert all(by_rank[measure] == 1.0 for measure in measures)
assert by_time[RR @ 10] == 1.0
assert abs(by_time[RR] - 1 / 3) < 1e-6 and abs(by_time[AP] - 1 / 3) < 1e-6 and abs(by_time[nDCG @ 10] - 0.5) < 1e-6
PYTHON
