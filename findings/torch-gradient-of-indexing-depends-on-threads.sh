#!/usr/bin/env bash
# torch 2.13.0 on a CPU: with two threads the gradient of `table[ids]` differs from call to call; that of
# `torch.nn.functional.embedding(ids, table)`, the same function, does not.
#
# Guess written down before: both add the rows up in one fixed order on a CPU, as both do with one thread.
# Seen: where ids repeat, `table[ids]` adds in the order in which the threads come. No warning, and the loss looks the same.
# Two trainings with the same seed and thread count then end with different weights.
# For us: rows of trained tables are taken by `embedding` (docs/decisions/0035); a test looks at every operation that adds.
set -euo pipefail
folder=$(mktemp -d) && trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check torch==2.13.0 numpy==2.4.6
"$folder/venv/bin/python" - <<'PYTHON'
import torch
from torch.nn.functional import embedding

torch.set_num_threads(2)
table = torch.randn(50, 64, requires_grad=True)
ids = torch.randint(0, 50, (16_384,))
weights = torch.randn(16_384, 64)


def gradients(rows):
    found = set()
    for _ in range(40):
        table.grad = None
        (rows() * weights).sum().backward()
        found.add(table.grad.numpy().tobytes())
    return len(found)


indexed, embedded = gradients(lambda: table[ids]), gradients(lambda: embedding(ids, table))
print(f"different gradients in 40 calls: table[ids] {indexed}, embedding {embedded}")
assert indexed > 1 and embedded == 1
PYTHON
