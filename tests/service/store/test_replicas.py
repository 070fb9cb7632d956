"""Two services on one PostgreSQL, with no Redis between them: what one stores, the other's very next answer applies."""

from __future__ import annotations

import asyncio

import numpy as np
from pydantic import SecretStr

from service.recommend.queries import UserQuery
from service.store import Interaction, add_interactions, hide_item, now_us, put_requirement


def test_what_one_replica_stores_the_very_next_answer_of_the_other_applies(
    a_bundle_folder, a_recommender, ready_postgres
):
    folder = a_bundle_folder(items=40)
    replica = {"folder": folder, "settings": {"database_url": SecretStr(ready_postgres), "cache": "memory"}}
    rng = np.random.default_rng(0)

    async def story() -> None:
        async with a_recommender(**replica) as one, a_recommender(**replica) as other:
            query = UserQuery("u0", k=40, exclude_seen=True)
            expected: dict[str, str] = {}
            gone: set[str] = set()
            for step in range(60):
                writer, reader = (one, other) if rng.random() < 0.5 else (other, one)
                kept = tuple(name for name in ("gender", "age") if rng.random() < 0.5)
                if step % 3 == 0:
                    await writer.store.change(put_requirement, "u0", kept)
                    expected = dict.fromkeys(kept, "user")
                elif step % 3 == 1:
                    item = f"i{rng.integers(40)}"
                    await writer.store.change(add_interactions, [Interaction("u0", item, now_us())])
                    gone.add(item)
                else:
                    item = f"i{rng.integers(40)}"
                    await writer.store.change(hide_item, item, True)
                    gone.add(item)
                made = await reader.recommend(query)

                assert made.requirement.sources == expected
                assert {f"i{row}" for row in made.ranking.rows} == {f"i{row}" for row in range(40)} - gone
            rows = await one.logged()
            assert len(rows) == 60
            assert dict(rows[-1].applied) == expected

    asyncio.run(story())
