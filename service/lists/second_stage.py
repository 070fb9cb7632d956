"""Between making and finishing, with `--rerank`: candidates of all users → lists of all users, at once.

Candidates are settled first, so that lists are chosen from what holds now. A list that a change overtakes after that is
made again as a request would have it, and not re-ranked: never with less protection than is stored by then.
"""

from __future__ import annotations

import numpy as np

from service.cache import CachedAnswer
from service.lists.parts import Part
from service.lists.reranking import RerankAsked, Reranker, check_withheld
from service.lists.run import Run, Told


def rerank(candidates: Run, lists: Run, asked: RerankAsked, reranker: Reranker, tell: Told) -> None:
    """Make every part of the lists from the candidates. In memory: some 70 bytes for each candidate.

    Args:
        candidates: made.
        lists: of the same users; what is made of them already is replaced.
        asked: the options.
        reranker: of these options.
        tell: told how many users' candidates were read.

    Raises:
        RerankRevealsError: groups of users are used, and a requirement was stored since this was checked.
        StartError: these users are no two groups.
    """
    candidates.refresh()
    users: list[str] = []
    met: list[int] = []
    rows, scores = [], []
    kept: list[list[CachedAnswer | int | None]] = []
    revisions = []
    for number in candidates.numbers:
        revision, settled = candidates.settled(number, log=False)
        found: dict[str, CachedAnswer | int] = {}
        for listed in settled:
            check_withheld(asked, listed.plan.resolved.requirement.sources)
            if listed.plan.fallback is not None:  # of nobody, and in its order
                found[listed.user] = CachedAnswer(listed.items.rows[: reranker.k])
                continue
            found[listed.user] = len(users)
            users.append(listed.user)
            met.append(sum(map(len, listed.plan.history)))
            rows.append(listed.items.rows)
            scores.append(listed.items.scores)
        kept.append([found.get(user) for user in candidates.users(number)])
        revisions.append(revision)
        tell(len(kept[-1]))
    items = np.full((len(rows), reranker.candidates), -1, np.int32)
    worth = np.zeros(items.shape)
    for place, (own, score) in enumerate(zip(rows, scores, strict=True)):
        items[place, : len(own)] = own
        worth[place, : len(own)] = score
    places = reranker.places(users, np.array(met, np.int64), items, worth)
    chosen = np.where(places >= 0, np.take_along_axis(items, np.maximum(places, 0), axis=1), -1)
    for number, part in zip(lists.numbers, kept, strict=True):
        made = [CachedAnswer(chosen[each][chosen[each] >= 0]) if isinstance(each, int) else each for each in part]
        lists.keep(number, Part(min(revisions), made))
