"""Audit runs: queued in the database, done one after the other, each by a process of its own (`service.audit.child`).

A run is claimed by one replica, which says again and again that it lives; where that is not heard any more, another
one begins it anew. One that was killed and has the same name when it is started again does so at once. Stopping gives a
run back to the queue. A process that is ended from outside is started again, `ATTEMPTS` times in all; one that ends by
itself without a result has said why.
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from time import monotonic
from typing import Any, Concatenate, Literal, ParamSpec, get_args

from structlog.typing import FilteringBoundLogger

from bundle import Manifest
from service.audit.child import Child, signal_name
from service.audit.request import AuditRequest, as_arguments, resolve
from service.audit.versions import Versions, check_auditable
from service.balance import BalancePolicy
from service.errors import ServiceError, TooManyRunsError, UnavailableError, UnknownRunError
from service.settings import AuditPriority
from service.store import (
    Run,
    RunConflictError,
    Store,
    StoredModel,
    Transaction,
    cancel_run,
    claim_run,
    create_run,
    delete_run,
    fail_lost_runs,
    find_work,
    finish_run,
    now_us,
    register_model,
    report_run,
    requeue_run,
)

OPEN_AT_MOST = 20
"""Runs that may be queued or running."""
ATTEMPTS = 3
"""Most starts of a run whose process, or whose replica, was killed each time."""
LOOK_S = 2.0
"""Interval at which an idle replica looks for runs that others have queued or left."""
TICK_S = 0.25
"""Interval between two looks at a process."""
REPORT_S = 1.0
"""Shortest time between two reports of progress."""
BEAT_S = 5.0
"""Between two reports of being alive, at most."""
SILENT_S = 30.0
"""A replica that has not reported for longer is taken for dead."""

Ending = Literal["done", "failed", "cancelled"]
ENDINGS: tuple[Ending, ...] = get_args(Ending)

P = ParamSpec("P")


class AuditRuns:
    """Queues runs, and does those that are queued, one at a time."""

    def __init__(
        self,
        versions: Versions,
        store: Store,
        *,
        owner: str,
        leakage_at_most: float,
        kept_at_least: float,
        workers: int,
        priority: AuditPriority,
        balance: BalancePolicy,
        log: FilteringBoundLogger,
        observe: Callable[[Ending], None],
        measured: Callable[[StoredModel, Mapping[str, Any]], None],
    ) -> None:
        """Nothing runs before `start`.

        Args:
            versions: what can be audited.
            store: where runs are queued and kept.
            owner: the name under which runs are done here. Whoever has it is alone: what is running under it already
                was begun by one that has ended.
            leakage_at_most: the operator's threshold.
            kept_at_least: the operator's threshold.
            workers: processes that one run may keep busy.
            priority: theirs.
            balance: how the operator balances lists; so are the audited ones, unless a run says otherwise.
            log: for operators.
            observe: told how each run ended that ended here.
            measured: told the results of those that are done.
        """
        self.trouble: str | None = None
        """Why runs are not done at the moment; None where they are."""
        self._versions = versions
        self._store = store
        self._options = ["--leakage-at-most", f"{leakage_at_most:g}", "--kept-at-least", f"{kept_at_least:g}"]
        self._options += ["--workers", str(workers)]
        self._priority = priority
        self._balance = balance
        self._log = log
        self._observe = observe
        self._measured = measured
        self._owner = owner
        self._stopping = False
        self._wake = asyncio.Event()
        self._rounds: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin; from the event loop."""
        self._rounds = asyncio.create_task(self._run())

    async def close(self) -> None:
        """End, and put unfinished runs back into the queue for the next start."""
        self._stopping = True
        self._wake.set()
        if self._rounds is not None:
            await asyncio.wait([self._rounds])

    async def queue(self, request: AuditRequest) -> str:
        """Queue a run of the version that is asked for, or of the one that is active now; its id.

        Raises:
            UnknownModelError: no such version.
            ModelRefusedError: its manifest is damaged.
            NoAuditDataError: it came without audit/.
            InvalidQueryError: there is no such balance.
            UnknownAttributeError: it does not have an attribute of a mask.
            UnsupportedRequirementError: it has no list for exactly that mask.
            TooManyRunsError: too many runs are queued or running.
            UnavailableError: it cannot be stored now.
        """
        manifest = await asyncio.to_thread(self._versions.manifest, request.version)
        check_auditable(manifest)
        policy = self._balance.over(personal=manifest.balance is not None)
        wanted = resolve(request, manifest, policy).model_dump(mode="json")
        run = secrets.token_hex(8)
        if not await self._store.change(_queue, run, wanted, manifest):
            raise TooManyRunsError(OPEN_AT_MOST)
        self._wake.set()
        return run

    async def end(self, run: str) -> Literal["cancelled", "deleted"]:
        """Cancel a run that is queued or running, wherever that is; delete one that has ended.

        Raises:
            UnknownRunError: there is no such run.
            UnavailableError: it cannot be stored now.
        """
        ending = await self._store.change(_end, run)
        if ending is None:
            raise UnknownRunError(run)
        if ending == "cancelled":
            self._observe("cancelled")
            self._wake.set()
        return ending

    async def _run(self) -> None:
        while not self._stopping:
            found = False
            try:
                run = await self._claimed()
                if run is not None:
                    found = True
                    await self._do(run)
                self.trouble = None
            except Exception as error:  # of any kind: the next round comes
                found = False
                self.trouble = str(error) if isinstance(error, ServiceError) else type(error).__name__
                self._log.warning("audit runs cannot be done", reason=self.trouble)
            if not found:
                await self._pause(LOOK_S)

    async def _claimed(self) -> Run | None:
        """The next run, ours from now on; looked for by reading, so that there is no commit where there is none."""
        if not await self._store.read(find_work, self._owner, now_us(), round(1e6 * SILENT_S)):
            return None
        lost, run = await self._store.change(_claim, self._owner)
        for each in lost:
            self._ended("failed", each, reason=f"lost {ATTEMPTS} times")
        return run

    async def _do(self, run: Run) -> None:
        """One run, from its start to its end, or to where it is not ours any more."""
        self._log.info("audit run begun", run=run.id, attempt=run.attempts)
        model = self._store.known.models.get(run.model_id or 0)
        if model is None:
            await self._fail(run, "it is not recorded which bundle this was to measure")
            return
        try:
            folder = await asyncio.to_thread(self._versions.folder, model)
        except ServiceError as error:
            await self._fail(run, str(error))
            return
        try:
            options = [*as_arguments(run.request), *self._options, "--index", self._versions.index]
            child = await asyncio.to_thread(Child.start, [str(folder), *options], self._priority)
        except OSError as error:
            await self._again(run, f"no process could be started for it ({error.strerror})")
            return
        result, words = None, ""
        try:
            state = await self._watch(run, child)
            status = child.status
            if state == "ended":
                result, words = await asyncio.to_thread(lambda: (child.result(), child.last_words()))
        finally:
            await child.end()
        if state == "stopping":
            await self._insist(requeue_run, run.id, self._owner, counted=False)
        elif result is not None:
            await self._finish(run, model, result)
        elif state == "ended" and status is not None and status < 0:
            await self._again(run, f"its process was ended ({signal_name(-status)}), perhaps for lack of memory")
        elif state == "ended":
            said = words.removeprefix("evenhand: ").replace(str(folder), f"version {model.version!r}")
            await self._fail(run, said or f"its process ended with status {status}")

    async def _watch(self, run: Run, child: Child) -> Literal["ended", "stopping", "taken"]:
        """Report a process's progress until it or the service ends, or the run is cancelled or has another owner."""
        told: tuple[str, float] | None = ("", 0.0)  # nobody has been told anything yet
        told_at = monotonic()
        while child.status is None:
            woken = await self._pause(TICK_S)
            if self._stopping:
                return "stopping"
            now, silent_s = child.progress(), monotonic() - told_at
            if woken or silent_s >= (BEAT_S if now == told else REPORT_S):
                told, told_at = now, monotonic()
                if not await self._report(run, now):
                    return "taken"
        return "ended"

    async def _report(self, run: Run, progress: tuple[str, float] | None) -> bool:
        doing, share = progress or ("starting", 0.0)
        try:
            return await self._store.change(report_run, run.id, self._owner, share, doing)
        except UnavailableError:  # a lost database is no reason to throw work away
            return True

    async def _finish(self, run: Run, model: StoredModel, result: Mapping[str, Any]) -> None:
        overall = result["verdict"]["overall"]
        if await self._insist(finish_run, run.id, self._owner, result, None, overall):
            self._ended("done", run.id, verdict=overall)
            self._measured(model, result)

    async def _fail(self, run: Run, reason: str) -> None:
        if await self._insist(finish_run, run.id, self._owner, None, reason):
            self._ended("failed", run.id, reason=reason)

    async def _again(self, run: Run, reason: str) -> None:
        """Begin it once more, here or elsewhere, unless it was begun often enough."""
        if run.attempts >= ATTEMPTS:
            await self._fail(run, f"{reason}; it was begun {run.attempts} times")
        elif await self._insist(requeue_run, run.id, self._owner, counted=True):
            self._log.warning("audit run begins anew", run=run.id, attempt=run.attempts, reason=reason)

    async def _insist(
        self, change: Callable[Concatenate[Transaction, P], bool], *args: P.args, **kwargs: P.kwargs
    ) -> bool:
        """A change that must be made, also where the database is away for long; False where the run is not ours."""
        while True:
            try:
                return await self._store.change(change, *args, **kwargs)
            except UnavailableError as error:
                self.trouble = str(error)
                if self._stopping:  # a replica that finds the run silent starts it anew
                    return False
                await self._pause(REPORT_S)

    async def _pause(self, seconds: float) -> bool:
        """Wait; whether something woke us before it was over: a run was queued or cancelled here, or the end."""
        if not self._stopping:
            with suppress(TimeoutError):
                await asyncio.wait_for(self._wake.wait(), seconds)
        woken = self._wake.is_set()
        self._wake.clear()
        return woken

    def _ended(self, ending: Ending, run: str, **facts: object) -> None:
        self._observe(ending)
        self._log.info("audit run ended", run=run, ending=ending, **facts)


def _queue(tx: Transaction, run: str, request: Mapping[str, Any], manifest: Manifest) -> bool:
    """False where there are too many; that the model is known comes first, which keeps other replicas waiting."""
    attributes = manifest.attribute_names
    model = register_model(tx, manifest.name, manifest.version, manifest.content_hash, attributes)
    return create_run(tx, run, request, model_id=model.id, open_at_most=OPEN_AT_MOST)


def _claim(tx: Transaction, owner: str) -> tuple[Sequence[str], Run | None]:
    silent_us = round(1e6 * SILENT_S)
    return fail_lost_runs(tx, owner, silent_us, ATTEMPTS), claim_run(tx, owner, silent_us)


def _end(tx: Transaction, run: str) -> Literal["cancelled", "deleted"] | None:
    try:
        return None if cancel_run(tx, run) is None else "cancelled"
    except RunConflictError:
        return "deleted" if delete_run(tx, run) else None
