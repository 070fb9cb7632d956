"""What a process knows in memory is what the database holds, whoever changed it."""

from __future__ import annotations

import asyncio
import tempfile

from hypothesis import example, given, settings
from hypothesis import strategies as st
from sqlalchemy import event, insert, text

from service.store import (
    Database,
    Interaction,
    StateCache,
    Store,
    activate_model,
    add_interactions,
    create_key,
    erase_user,
    find_key,
    hide_item,
    lift_erasure,
    now_us,
    put_requirement,
    revoke_key,
)
from service.store.schema import interactions
from service.store.state_cache import NEWEST, read_changes

USERS = st.sampled_from(["ripley", "dallas"])
STEPS = st.one_of(
    st.tuples(st.just(put_requirement), USERS, st.sampled_from([None, (), ("age",), ("age", "gender")])),
    st.tuples(st.just(add_interactions), st.lists(st.builds(Interaction, USERS, st.sampled_from("xyz"), st.just(1)))),
    st.tuples(st.just(erase_user), USERS),
    st.tuples(st.just(lift_erasure), USERS),
    st.tuples(st.just(hide_item), st.sampled_from("xyz"), st.booleans()),
)


def _facts(known: StateCache):
    users = {name: (s.requirement, s.items, s.suppressed) for name, s in known.users()}
    plain = {name: facts for name, facts in users.items() if facts != (None, (), False)}
    return plain, known.hidden.items


@settings(max_examples=25, deadline=None)
@given(st.lists(st.tuples(STEPS, st.booleans()), max_size=12))
@example(  # an erasure that is lifted before anybody looked
    [
        ((add_interactions, [Interaction("ripley", "x", 1)]), True),
        ((erase_user, "ripley"), False),
        ((lift_erasure, "ripley"), True),
    ]
)
def test_hearing_of_changes_bit_by_bit_ends_where_a_fresh_start_begins(steps):
    with tempfile.TemporaryDirectory() as folder:
        store = Store(f"sqlite:///{folder}/store.db", deadline_s=20)
        database, follower = store.database, StateCache()

        for (change, *arguments), look in steps:
            revisions = {user: follower.user(user).revision for user in ("ripley", "dallas")}
            with database.writing() as tx:
                change(tx, *arguments, *([store.pseudonyms] if change is erase_user else []))
            if look:
                before = _facts(follower)[0]
                _follow(database, follower)
                after = _facts(follower)[0]
                for user in ("ripley", "dallas"):  # what an answer depends on never changes under one revision
                    if before.get(user) != after.get(user):
                        assert follower.user(user).revision > revisions[user]
        _follow(database, follower)

        fresh = StateCache()
        _follow(database, fresh)
        assert _facts(follower) == _facts(fresh)
        asyncio.run(_closed(store))


def _follow(database, known):
    with database.reading() as connection:
        changes = read_changes(connection, known.revision)
    if changes is not None:
        known.take(changes)
        known.take(changes)  # twice does no harm


def test_a_change_is_read_from_the_tables_that_have_one(tmp_path):
    store, asked = Store(f"sqlite:///{tmp_path}/store.db", deadline_s=20), []
    with store.database.writing() as tx:
        put_requirement(tx, "ripley", ("gender",))
    with store.database.reading() as connection:
        event.listen(connection, "before_cursor_execute", lambda *told: asked.append(told[2]))
        changes = read_changes(connection, store.known.revision)

    assert changes.requirements.keys() == {"ripley"}
    selects = [statement for statement in asked if statement.startswith("SELECT")]
    assert len(selects) == 2  # which tables have one, and that one
    asyncio.run(_closed(store))


def test_nobody_reads_a_large_table_to_hear_that_it_has_not_changed(ready_postgres):
    store = Store(ready_postgres, deadline_s=20)
    many = [{"user_id": "ripley", "item_id": "alien", "time_us": 1, "taken_us": 1, "revision": 1}] * 20_000
    with store.database.writing() as tx:
        tx.connection.execute(insert(interactions), many)
    with store.database.writing() as tx:
        tx.connection.execute(text("ANALYZE interactions"))
        plan = tx.connection.execute(text(f"EXPLAIN {NEWEST}")).scalars().all()

    assert not [line for line in plan if "Seq Scan on interactions" in line]
    asyncio.run(_closed(store))


async def _closed(store):
    store.start()
    await store.close()


def test_another_replica_refuses_an_answer_made_without_a_new_requirement(ready_postgres, a_model, a_record):
    async def story():
        here, there = (Store(ready_postgres, deadline_s=20) for _ in range(2))
        here.start()
        there.start()
        model = await a_model(here)
        await there.log([a_record(model, user="ripley")])

        for attributes in (("gender",), ("gender", "age"), None):
            old = there.known.user("ripley").revision
            await here.change(put_requirement, "ripley", attributes)
            # The very next answer there: made before it could hear, refused by its own transaction.
            assert await there.log([a_record(model, user="ripley", user_revision=old)]) == {0}
            assert there.known.user("ripley").requirement == attributes
            fresh = there.known.user("ripley").revision
            assert await there.log([a_record(model, user="ripley", user_revision=fresh)]) == frozenset()

        await here.close()
        await there.close()

    asyncio.run(story())


def test_an_idle_replica_hears_of_keys_hidden_items_erasure_and_models(ready_postgres, a_model, eventually):
    async def story():
        here, there = (Store(ready_postgres, deadline_s=20) for _ in range(2))
        here.start()
        there.start()
        model = await a_model(here)
        await here.change(add_interactions, [Interaction("ripley", "alien", 1)])
        secret = await here.change(create_key, "app", ["recommend"])
        await eventually(lambda: find_key(there.known.keys, secret, now_us()) is not None)
        assert there.known.user("ripley").items == ("alien",)

        await here.change(revoke_key, "app")
        await here.change(hide_item, "alien", hidden=True)
        await here.change(erase_user, "ripley", here.pseudonyms)
        await here.change(activate_model, model.id)

        await eventually(lambda: there.known.arms.active is not None)
        assert find_key(there.known.keys, secret, now_us()) is None
        assert there.known.hidden.items == {"alien"}
        assert there.known.user("ripley").suppressed
        assert there.known.user("ripley").items == ()
        assert there.known.arms.active.id == model.id
        await here.close()
        await there.close()

    asyncio.run(story())


def test_a_command_of_another_process_is_heard_of(open_store, ready_url, eventually):
    async def story():
        async with open_store() as store:
            command = Database(ready_url)
            with command.writing() as tx:
                secret = create_key(tx, "app", ["audit", "recommend"])
            command.close()

            await eventually(lambda: find_key(store.known.keys, secret, now_us()) is not None)

            assert store.known.key_named("app").scopes == {"audit", "recommend"}

    asyncio.run(story())
