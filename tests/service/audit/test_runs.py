"""Audit runs: done in processes of their own, and neither lost nor done twice, whatever ends in the middle."""

from __future__ import annotations

import asyncio
import os
import secrets
import shutil
import signal
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from math import isnan
from pathlib import Path
from typing import Any

import pytest

from service.audit import runs as audit_runs
from service.audit.child import Child, environment
from service.audit.request import AuditRequest
from service.audit.runs import ATTEMPTS, AuditRuns
from service.audit.versions import Versions
from service.balance import BalancePolicy
from service.errors import NoAuditDataError, TooManyRunsError, UnknownModelError, UnknownRunError
from service.logs import make_logger
from service.metrics import VERDICTS
from service.model.folder import ModelsFolder
from service.store import Store, StoreUnavailableError, claim_run, create_run, finish_run, get_run, list_runs

pytestmark = pytest.mark.usefixtures("preloaded")
FEW = AuditRequest(masks=[[], ["gender"]], metrics=["accuracy", "overlap"], seed=3)
"""Measured in a moment; the rest of the time goes into starting Python."""
LONG_S = 120
OVER = ("done", "failed", "cancelled")


@pytest.fixture(autouse=True)
def quickly(monkeypatch):
    for name, value in (("LOOK_S", 0.05), ("TICK_S", 0.02), ("REPORT_S", 0.02), ("BEAT_S", 0.2)):
        monkeypatch.setattr(f"service.audit.runs.{name}", value)


@pytest.fixture
def children(monkeypatch):
    """Every process that is started for a run, in order."""
    started: list[Child] = []
    start = Child.start

    def recorded(*arguments):
        started.append(start(*arguments))
        return started[-1]

    monkeypatch.setattr(Child, "start", recorded)
    return started


@pytest.fixture
def a_desk(a_recommender, a_measurable_folder):
    """A running service around a bundle that can be measured, with its runs."""
    return lambda **options: a_recommender(folder=options.pop("folder", None) or a_measurable_folder(), **options)


@dataclass
class Quick:
    """In the place of a child: has ended already, unless its status says otherwise."""

    status: int | None = 0
    found: dict[str, Any] = field(default_factory=lambda: {"verdict": {"overall": "pass"}, "request": {"profile": ""}})
    ended: bool = False

    def progress(self):
        return "working", 0.5

    def result(self):
        return self.found

    def last_words(self):
        return ""

    async def end(self):
        self.ended = True


async def run_of(store, run):
    return await store.read(get_run, run)


async def reached(store, run, *statuses, within_s=LONG_S):
    """The run, once it is one of these."""
    async with asyncio.timeout(within_s):
        while (found := await run_of(store, run)).status not in statuses:
            await asyncio.sleep(0.02)
    return found


async def holds(condition, within_s=LONG_S):
    async with asyncio.timeout(within_s):
        while not condition():
            await asyncio.sleep(0.01)


def lives(pid):
    """Whether a process of that group is still there; one that nobody has waited for yet does not count."""
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                state, _, group = (entry / "stat").read_text().rpartition(") ")[2].split()[:3]
            except OSError:
                continue
            if int(group) == pid and state != "Z":
                return True
    return False


@pytest.mark.anyio
async def test_a_run_measures_the_active_bundle_and_is_kept_with_its_result(a_desk, children):
    async with a_desk() as desk:
        run = await desk.runtime.audits.queue(FEW)
        told = set()
        while (found := await run_of(desk.store, run)).status not in OVER:
            told.add(found.doing)
            await asyncio.sleep(0.01)
        model = desk.store.known.models[found.model_id]

        assert found.status == "done", found.error
        assert (found.progress, found.verdict, found.attempts, found.doing) == (
            1.0,
            found.result["verdict"]["overall"],
            1,
            None,
        )
        assert (model.version, model.content_hash) == ("1", desk.model.content_hash)
        assert found.result["request"] == found.request
        assert found.result["bundle"]["content_hash"] == desk.model.content_hash
        assert found.result["card"].keys() == {"accuracy", "fairness"}
        assert "starting" in told
        assert [one.result for one in await desk.store.read(list_runs)] == [None]
    assert not children[0]._folder.exists()


@pytest.mark.parametrize(
    ("priority", "nice", "scheduler"),
    [("idle", 19, os.SCHED_IDLE), ("normal", os.getpriority(os.PRIO_PROCESS, 0), os.sched_getscheduler(0))],
)
@pytest.mark.anyio
@pytest.mark.real_processes
async def test_a_run_is_a_process_without_secrets_that_gets_what_the_operator_says(
    a_desk, children, monkeypatch, priority, nice, scheduler
):
    monkeypatch.setenv("EVENHAND_SECRET", "sixteen letters or more")
    monkeypatch.setenv("EVENHAND_DATABASE_URL", "postgresql://somewhere/else")
    monkeypatch.setenv("PGPASSWORD", "hunter2")
    async with a_desk(settings={"audit_priority": priority}) as desk:
        await desk.runtime.audits.queue(FEW)
        await holds(lambda: children)
        await holds(Path(f"/proc/{children[0].pid}/environ").read_text)  # empty until the process is the new program
        stat = Path(f"/proc/{children[0].pid}/stat").read_text().rpartition(") ")[2].split()
        surroundings = Path(f"/proc/{children[0].pid}/environ").read_text()
        adjusted = Path(f"/proc/{children[0].pid}/oom_score_adj").read_text().strip()

    assert (int(stat[16]), int(stat[2]), adjusted) == (nice, children[0].pid, "1000")
    assert int(stat[38]) == scheduler
    assert int(stat[3]) == os.getsid(0)  # Linux may share processors among sessions before it looks at priorities
    assert "OMP_NUM_THREADS=1" in surroundings
    assert not any(secret in surroundings for secret in ("EVENHAND", "sixteen", "hunter2", "postgresql"))


@pytest.mark.anyio
async def test_a_run_that_is_cancelled_ends_with_all_its_processes(a_desk, children):
    async with a_desk() as desk:
        runs = desk.runtime.audits
        run, waiting = await runs.queue(AuditRequest()), await runs.queue(AuditRequest())
        await holds(lambda: children)

        assert await runs.end(waiting) == "cancelled"
        assert await runs.end(run) == "cancelled"
        await holds(lambda: not lives(children[0].pid))
        await asyncio.sleep(0.3)

        assert [(await run_of(desk.store, each)).status for each in (run, waiting)] == ["cancelled", "cancelled"]
        assert len(children) == 1
        assert await runs.end(run) == "deleted"
        assert await run_of(desk.store, run) is None
        with pytest.raises(UnknownRunError):
            await runs.end(run)
        count = desk.runtime.metrics.registry.get_sample_value
        assert count("evenhand_audit_runs_total", {"outcome": "cancelled"}) == 2


@pytest.mark.anyio
async def test_a_service_that_stops_gives_the_run_back_and_the_next_start_does_it(
    a_desk, a_measurable_folder, children
):
    folder = a_measurable_folder()
    async with a_desk(folder=folder) as desk:
        url = desk.store.database.url.render_as_string()
        run = await desk.runtime.audits.queue(FEW)
        await reached(desk.store, run, "running")
        await holds(lambda: children)
    assert not lives(children[0].pid)

    async with a_desk(folder=folder, settings={"database_url": url}) as desk:
        found = await reached(desk.store, run, *OVER)

        assert (found.status, found.attempts) == ("done", 1)
        assert len(children) == 2


@pytest.mark.anyio
async def test_a_run_whose_process_is_killed_each_time_fails_in_the_end_and_says_so(a_desk, children):
    async with a_desk() as desk:
        run = await desk.runtime.audits.queue(AuditRequest())
        for attempt in range(ATTEMPTS):
            await holds(lambda: len(children) == attempt + 1)  # noqa: B023  awaited here
            os.kill(children[attempt].pid, signal.SIGKILL)

        found = await reached(desk.store, run, *OVER)

        assert (found.status, found.attempts) == ("failed", ATTEMPTS)
        assert "SIGKILL" in found.error
        assert "memory" in found.error
        assert len(children) == ATTEMPTS
        assert desk.runtime.audits.trouble is None


@pytest.mark.anyio
async def test_a_run_whose_replicas_died_each_time_is_not_begun_for_ever(a_desk, children, monkeypatch):
    monkeypatch.setattr("service.audit.runs.LOOK_S", 1000)
    async with a_desk() as desk:
        await asyncio.sleep(0.1)  # it has looked, and will not look again
        await desk.store.change(create_run, "dead", {})
        for replica in range(ATTEMPTS):
            assert (await desk.store.change(claim_run, f"replica {replica}", 0)).attempts == replica + 1
            await asyncio.sleep(0.01)
        monkeypatch.setattr("service.audit.runs.SILENT_S", 0.001)

        desk.runtime.audits._wake.set()
        found = await reached(desk.store, "dead", *OVER)

        assert found.status == "failed"
        assert f"{ATTEMPTS} processes" in found.error
        assert children == []


@pytest.mark.anyio
async def test_a_run_that_somebody_else_took_over_is_left_to_them(a_desk, monkeypatch):
    begun = [Quick(status=None), Quick()]
    started = iter(begun)
    monkeypatch.setattr(Child, "start", lambda *_: next(started))
    async with a_desk() as desk:
        run = await desk.runtime.audits.queue(FEW)
        await reached(desk.store, run, "running")
        with desk.store.database.writing() as tx:
            tx.connection.exec_driver_sql("UPDATE audit_runs SET owner = 'other'")
        await holds(lambda: begun[0].ended)
        assert ((await run_of(desk.store, run)).status, (await run_of(desk.store, run)).owner) == ("running", "other")

        with desk.store.database.writing() as tx:  # that one is not heard of again
            tx.connection.exec_driver_sql("UPDATE audit_runs SET heartbeat_us = 0")
        found = await reached(desk.store, run, *OVER)

        assert (found.status, found.attempts) == ("done", 2)


@pytest.mark.anyio
async def test_a_bundle_that_is_gone_damaged_or_another_one_fails_the_run_with_the_reason(a_desk, a_measurable_folder):
    folder = a_measurable_folder()
    others = [a_measurable_folder(version=version) for version in ("2", "3", "4")]
    async with a_desk(folder=folder) as desk:
        runs = desk.runtime.audits
        runs._stopping = True  # until the folders are as they shall be found
        runs._wake.set()
        await asyncio.wait([runs._rounds])
        queued = [await runs.queue(FEW.model_copy(update={"version": version})) for version in ("2", "3", "4")]
        shutil.rmtree(others[0])
        damaged = bytearray((others[1] / "items.safetensors").read_bytes())
        damaged[-1] ^= 1
        (others[1] / "items.safetensors").write_bytes(damaged)
        shutil.rmtree(others[2])
        a_measurable_folder(version="4", seed=9)
        runs._stopping = False
        runs.start()

        gone, broken, replaced = [(await reached(desk.store, run, *OVER)) for run in queued]

        assert {one.status for one in (gone, broken, replaced)} == {"failed"}
        assert "no version '2'" in gone.error
        assert "version '3' is refused: items.safetensors: sha256" in broken.error
        assert f"not {desk.store.known.models[replaced.model_id].content_hash}" in replaced.error
        assert not any(str(folder.parent) in one.error for one in (gone, broken, replaced))


@pytest.mark.anyio
async def test_what_cannot_be_measured_is_not_queued(a_desk, a_measurable_folder, monkeypatch):
    folder = a_measurable_folder()
    monkeypatch.setattr("service.audit.runs.OPEN_AT_MOST", 2)
    async with a_desk(folder=folder) as desk:
        runs = desk.runtime.audits
        with pytest.raises(UnknownModelError):
            await runs.queue(AuditRequest(version="9"))
        for _ in range(2):
            await runs.queue(AuditRequest())
        with pytest.raises(TooManyRunsError) as refused:
            await runs.queue(AuditRequest())

        assert refused.value.facts == {"allowed": 2}
        assert len(await desk.store.read(list_runs)) == 2


@pytest.mark.anyio
async def test_a_bundle_without_audit_data_is_not_queued(a_recommender):
    async with a_recommender(with_audit=False) as desk:
        with pytest.raises(NoAuditDataError):
            await desk.runtime.audits.queue(AuditRequest())

        assert await desk.store.read(list_runs) == []


@asynccontextmanager
async def replica(store, folder, serving):
    """Runs on a store, without a service around them."""
    endings: list[str] = []
    made = AuditRuns(
        Versions(ModelsFolder(folder.parent), folder, serving),
        store,
        owner=secrets.token_hex(8),
        leakage_at_most=0.6,
        kept_at_least=0.8,
        workers=1,
        priority="normal",
        balance=BalancePolicy(),
        log=make_logger("error"),
        observe=endings.append,
        measured=lambda *_: None,
    )
    made.endings = endings
    made.start()
    yield made
    await made.close()


@pytest.mark.parametrize(
    ("serves", "audits"), [("flat", "torch"), ("torch", "torch"), ("milvus", "torch"), ("hnsw", "hnsw"), ("ivf", "ivf")]
)
@pytest.mark.anyio
async def test_a_run_searches_with_the_kind_of_index_that_serves_or_an_exact_one(a_desk, monkeypatch, serves, audits):
    given = []

    def start(arguments, _):
        given.extend(arguments)
        return Quick()

    monkeypatch.setattr(Child, "start", start)
    async with a_desk() as desk:
        monkeypatch.setattr(desk.model.index, "kind", serves)
        await reached(desk.store, await desk.runtime.audits.queue(FEW), *OVER)

        assert given[given.index("--index") + 1] == audits


@pytest.mark.anyio
async def test_two_replicas_never_do_a_run_twice(a_model, a_measurable_folder, ready_postgres, monkeypatch):
    from service.model.active import Arms, ServedModel, Serving
    from service.model.loaded import load_model
    from service.requirement import Policy

    folder = a_measurable_folder()
    began: list[str] = []

    def start(arguments, _):
        began.append(arguments[arguments.index("--seed") + 1])
        return Quick()

    monkeypatch.setattr(Child, "start", start)
    serving = Serving(Arms(ServedModel(load_model(folder, "cpu"), 1, Policy())))
    async with AsyncExitStack() as stack:
        stores = [Store(ready_postgres, deadline_s=20) for _ in range(2)]
        for store in stores:
            store.start()
            stack.push_async_callback(store.close)
        both = [await stack.enter_async_context(replica(store, folder, serving)) for store in stores]

        queued = [await both[number % 2].queue(AuditRequest(metrics=["accuracy"], seed=number)) for number in range(16)]
        found = [await reached(stores[0], run, *OVER) for run in queued]

        assert [(one.status, one.attempts) for one in found] == [("done", 1)] * 16
        assert sorted(began, key=int) == [str(number) for number in range(16)]
    # A run is stored as done before its replica counts it; replicas that have closed have counted all of theirs.
    assert all(one.endings for one in both)
    assert sum(len(one.endings) for one in both) == 16


@pytest.mark.anyio
async def test_a_result_waits_for_a_database_that_is_away(a_desk, monkeypatch):
    monkeypatch.setattr(Child, "start", lambda *_: Quick())
    async with a_desk() as desk:
        away, change = True, desk.store.change

        async def sometimes(what, *args, **kwargs):
            if away and what is finish_run:
                raise StoreUnavailableError("the database is away")
            return await change(what, *args, **kwargs)

        monkeypatch.setattr(desk.store, "change", sometimes)
        run = await desk.runtime.audits.queue(AuditRequest())
        await holds(lambda: desk.runtime.audits.trouble == "the database is away")
        assert desk.runtime.health.troubles["audits"] == "the database is away"
        away = False

        assert (await reached(desk.store, run, *OVER)).status == "done"
        await holds(lambda: desk.runtime.audits.trouble is None)


@pytest.mark.anyio
async def test_a_process_that_cannot_be_started_is_tried_again_and_then_given_up(a_desk, monkeypatch):
    def no_room(*_):
        raise OSError(12, "Cannot allocate memory")

    monkeypatch.setattr(Child, "start", no_room)
    async with a_desk() as desk:
        found = await reached(desk.store, await desk.runtime.audits.queue(AuditRequest()), *OVER)

        assert (found.status, found.attempts) == ("failed", ATTEMPTS)
        assert "Cannot allocate memory" in found.error


@pytest.mark.anyio
async def test_leakage_of_the_last_full_run_of_the_active_bundle_is_a_metric(a_desk, a_measurable_folder, monkeypatch):
    folder = a_measurable_folder()
    a_measurable_folder(version="2", seed=2)
    found = {
        "request": {"profile": "full", "users": None},
        "verdict": {
            "overall": "fail",
            "not_judged": [{"of": "age", "code": "too_few_users", "reason": "few", "rows": 3}],
            "attributes": [
                {"attribute": "gender", "verdict": "fail", "worst": {"auc": 0.71}},
                {"attribute": "age", "verdict": "not_judged", "worst": {"auc": 0.5}},
            ],
            "accuracy": {"verdict": "pass"},
        },
    }
    monkeypatch.setattr(Child, "start", lambda *_: Quick(found=found))
    async with a_desk(folder=folder) as desk:
        sample = desk.runtime.metrics.registry.get_sample_value

        await reached(desk.store, await desk.runtime.audits.queue(AuditRequest(version="2")), *OVER)
        assert sample("evenhand_audit_leakage", {"attribute": "gender"}) is None
        run = await desk.runtime.audits.queue(AuditRequest())
        await reached(desk.store, run, *OVER)

        await holds(lambda: sample("evenhand_audit_leakage", {"attribute": "gender"}) == 0.71)
        assert isnan(sample("evenhand_audit_leakage", {"attribute": "age"}))
        for of, verdict in {"all": "fail", "accuracy": "pass", "attribute:age": "not_judged"}.items():
            told = {word: sample("evenhand_audit_verdict", {"of": of, "verdict": word}) for word in VERDICTS}
            assert told == dict.fromkeys(VERDICTS, 0) | {verdict: 1}
        found["verdict"]["not_judged"][0]["code"] = "not_asked"  # a run of less than everything tells nothing
        found["verdict"]["attributes"][0]["worst"]["auc"] = 0.5
        await reached(desk.store, await desk.runtime.audits.queue(AuditRequest()), *OVER)
        assert sample("evenhand_audit_leakage", {"attribute": "gender"}) == 0.71
        assert (await run_of(desk.store, run)).verdict == "fail"
        await desk.runtime.activations.activate("2", force=False, by=None)
        assert sample("evenhand_audit_leakage", {"attribute": "gender"}) is None
        assert sample("evenhand_audit_verdict", {"of": "all", "verdict": "fail"}) is None


def test_a_process_is_given_what_python_needs_and_nothing_of_the_service():
    ours = {"PATH": "/bin", "LC_ALL": "C", "PYTHONPATH": "/app", "EVENHAND_SECRET": "x", "AWS_SECRET_ACCESS_KEY": "y"}

    assert environment(ours) == {"PATH": "/bin", "LC_ALL": "C", "PYTHONPATH": "/app", "OMP_NUM_THREADS": "1"}


def test_a_silent_replica_has_long_missed_its_reports():
    assert audit_runs.SILENT_S > 3 * 5.0
