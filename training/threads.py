"""How many threads add numbers up, in torch and in BLAS: with another number the last bits may differ."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from threadpoolctl import threadpool_limits


@contextmanager
def held_to(threads: int) -> Iterator[None]:
    """Inside the block, torch and BLAS compute with so many threads; 0 leaves both as they are."""
    if not threads:
        yield
        return
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        with threadpool_limits(threads, "blas"):
            yield
    finally:
        torch.set_num_threads(before)
