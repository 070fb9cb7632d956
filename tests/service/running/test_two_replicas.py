"""Two replicas on PostgreSQL whose Redis is lost: what is stored through one, the other's very next answer knows."""

from __future__ import annotations

import asyncio

WANTED = (["gender"], ["gender", "age"], [], ["age"])


def test_a_requirement_stored_here_is_applied_by_the_very_next_answer_there(
    redis_server, ready_postgres, a_bundle_folder, a_service, rounds
):
    folder = a_bundle_folder()
    settings = {"database_url": ready_postgres, "redis_url": redis_server.url, "redis_timeout_ms": "20"}
    here, there = (a_service(folder, start=False, cache="redis", log_level="warning", **settings) for _ in range(2))
    for one in (here, there):
        one.begin()
    for one in (here, there):
        one.wait_until_ready()
    stored: dict[str, list[tuple[float, float, list[str]]]] = {}

    async def change(user, wanted):
        done = await here.ask("PUT", f"/users/{user}/requirement", {"attributes": wanted})
        assert done.status == 200, done.body
        stored.setdefault(user, []).append((done.began, done.ended, wanted))

    async def story():
        next_answers = []
        searches = ("/recommend?user=u{user}",)
        async with there.loaded(8, searches) as elsewhere, here.loaded(4, searches) as nearby:
            await asyncio.gather(elsewhere.goes_on(), nearby.goes_on())  # both caches have everybody's list
            await asyncio.to_thread(redis_server.kill)
            asking = there.connect()
            for count in range(rounds(40, 400)):
                user, wanted = f"u{count % 3}", WANTED[count % 4]
                await change(user, wanted)
                next_answers.append((wanted, await asking.ask("GET", f"/recommend?user={user}")))
            asking.close()
        return elsewhere, next_answers

    elsewhere, next_answers = asyncio.run(story())

    assert elsewhere.failed == []
    assert [_applied(answer) for _, answer in next_answers] == [wanted for wanted, _ in next_answers]
    checked = 0
    for answer in elsewhere.answers:
        if not answer.asked.startswith("GET"):
            continue
        changes = stored.get(answer.json["user"], [])
        # What was stored before the request began and not overtaken before its end; and what came while it ran.
        before = [wanted for _, ended, wanted in changes if ended < answer.began][-1:] or [[]]
        meanwhile = [wanted for began, ended, wanted in changes if ended >= answer.began and began <= answer.ended]
        assert _applied(answer) in [*before, *meanwhile]
        checked += bool(changes)
    assert checked > 50


def _applied(answer):
    assert answer.status == 200, answer.body
    return [one["attribute"] for one in answer.json["sensitive"]["applied"]]
