"""What is logged comes back as it was: pages, filters, columns, pseudonyms, retention."""

from __future__ import annotations

import asyncio
import hmac

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import func, select

from service.store import (
    LogFilter,
    Purpose,
    RequirementCount,
    StoreStartError,
    count_requirements,
    create_key,
    log_columns,
    log_page,
    log_span,
)
from service.store.record import pack_names, pack_sources, unpack_names, unpack_sources
from service.store.schema import request_log

NAMES = [f"a{i}" for i in range(64)]
SOURCES = st.sampled_from(["request", "default", "user", "required", "bundle"])


@given(st.lists(st.sampled_from(NAMES), max_size=64), st.dictionaries(st.sampled_from(NAMES), SOURCES))
def test_attributes_and_sources_come_back_packed_and_unpacked(names, sources):
    mask, (applied, letters) = pack_names(names, NAMES), pack_sources(sources, NAMES)

    assert unpack_names(mask, NAMES) == tuple(name for name in NAMES if name in names)
    assert unpack_sources(applied, letters, NAMES) == sources
    assert -(1 << 63) <= mask < 1 << 63


def test_a_row_says_everything_of_its_answer(open_store, a_model, a_record, logged):
    async def story():
        async with open_store() as store:
            model = await a_model(store)
            await store.change(create_key, "app", ["recommend"])
            applied, sources = pack_sources({"occupation": "user", "gender": "request"}, model.attributes)
            record = a_record(
                model,
                user="ripley",
                purpose=Purpose.BATCH,
                key_id=store.known.key_named("app").id,
                requested=pack_names(["gender"], model.attributes),
                applied=applied,
                sources=sources,
                items=[7, 0, 3],
                k=10,
                fallback="popular",
                cached=True,
            )
            plain = a_record(model, items=[])
            await store.log([record, plain])

            row, other = await logged(store)

            assert (row.request_id, row.time_us, row.purpose) == (record.request_id, record.time_us, Purpose.BATCH)
            assert (row.user_key, row.key, row.k, row.fallback, row.cached) == ("ripley", "app", 10, "popular", True)
            assert row.model == model
            assert row.requested == ("gender",)
            assert list(row.applied.items()) == [("gender", "request"), ("occupation", "user")]
            assert row.items([f"item {i}" for i in range(8)]) == ["item 7", "item 0", "item 3"]
            assert (other.user_key, other.key, other.requested, other.applied, other.fallback) == (None,) * 3 + (
                {},
                None,
            )
            assert other.items([]) == []

    asyncio.run(story())


def test_pages_in_either_order_have_every_row_once(open_store, a_model, a_record):
    async def story():
        async with open_store() as store:
            model = await a_model(store)
            records = [a_record(model) for _ in range(25)]
            for record in records:
                await store.log([record])
            ids = [record.request_id for record in records]

            for newest_first in (True, False):
                found, after = [], None
                while page := await store.read(
                    log_page, LogFilter(), store.pseudonyms, limit=7, after=after, newest_first=newest_first
                ):
                    assert len(page) <= 7
                    found += [row.request_id for row in page]
                    after = page[-1].position
                assert found == (ids[::-1] if newest_first else ids)

    asyncio.run(story())


def test_filters_leave_what_was_asked_for(open_store, a_model, a_record, logged):
    async def story():
        async with open_store() as store:
            old = await a_model(store, "1", ("gender", "age"))
            new = await a_model(store, "2", ("age", "gender"))  # the same attributes at other bits
            unknowing = await a_model(store, "3", ("occupation",))
            records = {
                "old": a_record(old, user="ripley", time_us=10, applied=0b01, sources="r"),  # gender
                "new": a_record(new, user="dallas", time_us=20, applied=0b01, sources="r"),  # age
                "both": a_record(new, user="ripley", time_us=30, applied=0b11, sources="rr", purpose=Purpose.UI),
                "other": a_record(unknowing, time_us=40, applied=0b1, sources="r"),
            }
            await store.log(list(records.values()))
            name = {record.request_id: name for name, record in records.items()}

            async def found(**wanted):
                return {name[row.request_id] for row in await logged(store, **wanted)}

            assert await found(user="ripley") == {"old", "both"}
            assert await found(since_us=20, until_us=40) == {"new", "both"}
            assert await found(version="2") == {"new", "both"}
            assert await found(version="4") == set()
            assert await found(attribute="gender") == {"old", "both"}
            assert await found(attribute="age") == {"new", "both"}
            assert await found(attribute="height") == set()
            assert await found(purposes=(Purpose.UI,)) == {"both"}
            assert await found(request_id=records["new"].request_id) == {"new"}
            assert await found(user="ripley", attribute="age") == {"both"}
            shown = tuple(purpose for purpose in Purpose if purpose.is_exposure)
            assert await found(purposes=shown) == {"old", "new", "other"}

    asyncio.run(story())


def test_columns_count_what_the_rows_say(open_store, a_model, a_record):
    async def story():
        async with open_store() as store:
            model = await a_model(store)
            await store.change(create_key, "app", ["recommend"])
            key = store.known.key_named("app").id
            lists = [[0, 1], [], [1, 2, 3], [1]]
            keys = [key, None, None, key]
            facts = enumerate(zip(lists, keys, strict=True))
            await store.log([a_record(model, user=f"u{i}", items=items, key_id=key) for i, (items, key) in facts])

            counts, users, key_ids = np.zeros(4, int), [], []
            span = await store.read(log_span, LogFilter())
            for start in range(span.start, span.stop, 3):
                part = await store.read(log_columns, LogFilter(), store.pseudonyms, range(start, start + 3))
                counts += np.bincount(part.items, minlength=4)
                users += [part.user_keys[owner] for owner in part.owners]
                key_ids += part.key_ids.tolist()
                assert {part.models[one] for one in part.model_ids.tolist()} == {model}

            assert counts.tolist() == [1, 3, 1, 1]
            assert users == ["u0", "u0", "u2", "u2", "u2", "u3"]
            assert key_ids == [key, 0, 0, key]
            assert await store.read(log_columns, LogFilter(), store.pseudonyms, range(span.stop, span.stop + 9)) is None

    asyncio.run(story())


def test_the_span_of_some_time_has_all_of_its_rows_in_whatever_order_they_were_written(open_store, a_model, a_record):
    async def story():
        async with open_store() as store:
            assert len(await store.read(log_span, LogFilter())) == 0
            model = await a_model(store)
            for time_us in (50, 10, 40, 20, 30):
                await store.log([a_record(model, time_us=time_us, user=str(time_us))])

            async def found(**wanted):
                span = await store.read(log_span, LogFilter(**wanted))
                part = await store.read(log_columns, LogFilter(**wanted), store.pseudonyms, span)
                return None if part is None else list(part.user_keys)

            assert await found() == ["50", "10", "40", "20", "30"]
            assert await found(since_us=30) == ["50", "40", "30"]
            assert await found(until_us=30) == ["10", "20"]
            assert await found(since_us=15, until_us=45) == ["40", "20", "30"]
            assert await found(since_us=51) is None

    asyncio.run(story())


def test_requirements_are_counted_as_they_were_asked_for_and_applied(open_store, a_model, a_record):
    async def story():
        async with open_store() as store:
            first, other = await a_model(store, "1", ("gender", "age")), await a_model(store, "2", ("age", "gender"))
            asked = [(first, None, {"age": "default"}), (other, ("gender",), {"gender": "request", "age": "user"})]
            for model, requested, applied in (*asked, asked[1], asked[1]):
                mask, sources = pack_sources(applied, model.attributes)
                named = None if requested is None else pack_names(requested, model.attributes)
                await store.log([a_record(model, requested=named, applied=mask, sources=sources)])
            await store.log([a_record(first, purpose=Purpose.UI)])

            found = await store.read(count_requirements, LogFilter(purposes=(Purpose.RECOMMEND,)), store.pseudonyms)

            assert found == [
                RequirementCount(("gender",), {"age": "user", "gender": "request"}, 3),
                RequirementCount(None, {"age": "default"}, 1),
            ]

    asyncio.run(story())


def test_with_a_secret_no_user_id_is_in_the_log_and_filters_still_find_them(open_store, a_model, a_record, logged):
    async def story():
        async with open_store() as store:
            model = await a_model(store)
            await store.log([a_record(model, user="ripley")])  # from before there was a secret
        async with open_store(pseudonym_secret="s3cret") as store:
            await store.log([a_record(model, user="ripley"), a_record(model, user="dallas"), a_record(model)])

            keys = [row.user_key for row in await logged(store)]
            digest = hmac.digest(b"s3cret", b"ripley", "sha256").hex()[:32]
            assert keys[1] == f"hmac-sha256:{digest}"
            assert keys[3] is None
            assert "dallas" not in str(keys)
            assert len(await logged(store, user="ripley")) == 2

        for other in (None, "another"):
            with pytest.raises(StoreStartError, match="EVENHAND_PSEUDONYM_SECRET"):
                async with open_store(pseudonym_secret=other):
                    pass

    asyncio.run(story())


def test_old_rows_go_while_new_ones_come(open_store, a_model, a_record, logged):
    async def story():
        async with open_store() as store:
            model = await a_model(store)
            for start in range(0, 3000, 500):
                await store.log([a_record(model, time_us=start + i) for i in range(500)])
            new: list[str] = []

            async def client():
                for _ in range(30):
                    record = a_record(model)
                    await store.log([record])
                    new.append(record.request_id)

            deleted, *_ = await asyncio.gather(store.prune(max_age_s=3600, max_rows=None), client(), client())

            assert deleted == 3000
            assert sorted(row.request_id for row in await logged(store)) == sorted(new)

    asyncio.run(story())


def test_no_more_rows_are_kept_than_allowed_and_positions_are_not_used_again(open_store, a_model, a_record, logged):
    async def story():
        async with open_store() as store:
            model = await a_model(store)
            records = [a_record(model) for _ in range(1000)]
            await store.log(records)
            last = (await logged(store))[-1].position

            assert await store.prune(max_age_s=None, max_rows=100) == 900
            assert [row.request_id for row in await logged(store)] == [r.request_id for r in records[-100:]]
            assert await store.prune(max_age_s=None, max_rows=100) == 0
            assert await store.prune(max_age_s=None, max_rows=0) == 100

            await store.log([a_record(model)])
            assert (await logged(store))[0].position > last
            assert await store.read(lambda c: c.execute(select(func.count()).select_from(request_log)).scalar()) == 1

    asyncio.run(story())
