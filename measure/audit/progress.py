"""How far an audit is, for a bar, a log or a page."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from tqdm import tqdm

Progress = Callable[[str, float], None]
"""Called with the present step, and the share done of the whole, in [0, 1]."""


class Steps:
    """Counts steps of known cost."""

    def __init__(self, whole: float, tell: Progress | None) -> None:
        """Take the cost of all steps together, and the function to call; None for no reports."""
        self._whole = max(whole, 1e-9)
        self._done = 0.0
        self._tell = tell
        self._doing = ""

    def begin(self, doing: str) -> None:
        """Report the next step."""
        self._doing = doing
        self.step(0.0)

    def step(self, cost: float = 1.0) -> None:
        """One more is done."""
        self._done += cost
        if self._tell is not None:
            self._tell(self._doing, min(self._done / self._whole, 1.0))


@contextmanager
def bar(title: str) -> Iterator[Progress]:
    """A progress bar on a terminal; nothing where there is none."""
    with tqdm(total=1.0, desc=title, disable=None, bar_format="{l_bar}{bar}| {elapsed}<{remaining}{postfix}") as shown:

        def tell(doing: str, share: float) -> None:
            shown.set_postfix_str(doing, refresh=False)
            shown.update(share - shown.n)

        yield tell
