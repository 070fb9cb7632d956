"""Protect a model of the library implicit, serve it and ask it: FOLDER has interactions.csv and users.csv.

.venv/bin/python examples/protect_implicit.py FOLDER    # `python -m training data generate FOLDER` makes one
"""

import subprocess
import sys
from pathlib import Path

import numpy as np
import polars as pl
from implicit.cpu.als import AlternatingLeastSquares
from scipy.sparse import csr_matrix

folder, here = Path(sys.argv[1]), Path(__file__).parent
met = pl.read_csv(folder / "interactions.csv", infer_schema=False)
(users, rows), (items, columns) = (np.unique(met[name].to_numpy(), return_inverse=True) for name in ("user", "item"))
model = AlternatingLeastSquares(factors=32, regularization=10.0, alpha=3.0)
model.fit(csr_matrix((np.ones(len(met), np.float32), (rows, columns))), show_progress=False)

for name, ids, vectors in (("user", users, model.user_factors), ("item", items, model.item_factors)):
    np.save(folder / f"{name}_vectors.npy", vectors)
    (folder / f"{name}_ids.txt").write_text("\n".join(ids))
train = ["-m", "training", "run", here / "vectors.toml", "--data", folder, "--out", folder / "bundles"]
subprocess.run([sys.executable, *train], check=True)
subprocess.run([sys.executable, here / "serve_and_ask.py", folder / "bundles" / "vectors"], check=True)
