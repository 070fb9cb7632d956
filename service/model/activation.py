"""One activation: find → prepare → compare → record → swap. The active model serves meanwhile.

The activating replica records the activation in the database first. Every other replica hears of that and follows, and
so does the next start. A replica that cannot follow says why in its log, its metrics and the detail of its readiness.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Literal, TypeVar, get_args

from structlog.typing import FilteringBoundLogger

from service.errors import ActivationRunningError, ModelRefusedError, RequirementsUnmetError, ServiceError
from service.index import Device, Kind
from service.model.active import ActiveModel, ServedModel
from service.model.folder import ModelsFolder
from service.model.inference import use_one_thread
from service.model.preparation import ModelChange, Prepared, compare, prepare
from service.store import Store, StoredModel, activate_model, register_model

FOLLOW_S = 0.5
"""Interval at which a replica looks for the model activated last."""
LAST_WAIT_S = 30.0
"""Longest wait before it tries again to follow."""
ALL_S = 30.0
"""How long an activation waits for the other processes of its service."""
SHOWN = 20
"""Stored requirements that a refusal lists."""

Ending = Literal["activated", "followed", "refused", "failed"]
"""activated: asked for here, and done; followed: done after another replica; refused: the model cannot serve, or the
request is wrong; failed: any other fault."""
ENDINGS: tuple[Ending, ...] = get_args(Ending)

Value = TypeVar("Value")
Result = TypeVar("Result")


@dataclass(frozen=True, slots=True)
class Activated:
    """A completed activation."""

    model: StoredModel
    previous: tuple[str, str]
    """Name and version of the model before."""
    compared: ModelChange
    timings_ms: Mapping[str, float]


class Activations:
    """Replaces the active model by models of a folder, one at a time."""

    def __init__(
        self,
        models: ModelsFolder,
        active: ActiveModel,
        store: Store,
        *,
        device: Device,
        index: Kind = "auto",
        milvus_url: str | None = None,
        log: FilteringBoundLogger,
        swap: Callable[[ServedModel], ServedModel],
        all_serve: Callable[[int], bool],
        observe: Callable[[Ending], None],
    ) -> None:
        """Nothing runs before `start`.

        Args:
            models: the folder of versions.
            active: holds the model that serves.
            store: records activations, and tells of those of other replicas.
            device: the device that indexes search on.
            index: the kind of index.
            milvus_url: address of Milvus, for that kind.
            log: for operators.
            swap: makes another model the active one, and returns the one before.
            all_serve: tells whether all processes of this service serve a model, by its id.
            observe: called with the ending of each attempt.
        """
        self.models = models
        self.trouble: str | None = None
        """Why this process does not serve the model that was activated last; None where it does."""
        self._active = active
        self._store = store
        self._prepared = partial(prepare, device=device, kind=index, milvus_url=milvus_url)
        self._log = log
        self._put = swap
        self._all_serve = all_serve
        self._observe = observe
        self._running: str | None = None
        self._thread = ThreadPoolExecutor(1, "activation", initializer=use_one_thread)
        self._follower: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Follow the activations of other replicas from now on."""
        self._follower = asyncio.create_task(self._follow())

    async def close(self) -> None:
        """Stop following; wait for a model that is being loaded."""
        if self._follower is not None:
            self._follower.cancel()
            await asyncio.wait([self._follower])
        await asyncio.to_thread(self._thread.shutdown, cancel_futures=True)

    async def activate(self, version: str, *, force: bool, by: str | None) -> Activated:
        """Serve a version from now on, here and on every replica; by its end all processes of this service do.

        Args:
            version: in the models folder; older or newer than the present one.
            force: activate even if it cannot meet requirements that users have stored.
            by: name of the API key.

        Raises:
            UnknownModelError: no such version.
            ModelRefusedError: it is damaged, or cannot meet the operator's policy.
            RequirementsUnmetError: it cannot meet users' stored requirements.
            ActivationRunningError: another one is running here.
            UnavailableError: it cannot be recorded now.
        """
        if self._running is not None:
            raise ActivationRunningError(self._running)
        self._running = version
        ending: Ending = "failed"
        try:
            folder = self.models.find(version)
            prepared, compared = await self._run(self._prepare_and_compare, folder)
            if compared.unmet and not force:
                shown = sorted(compared.unmet)[:SHOWN]
                raise RequirementsUnmetError(version, compared.users_unmet, shown)
            model = prepared.model
            description = model.bundle.description
            names = (description.name, description.version, model.content_hash, description.attribute_names)
            stored = await self._store.change(register_model, *names)
            await self._store.change(activate_model, stored.id, by)
            before = self._swap(prepared, stored.id, by=by, users_unmet=compared.users_unmet)
            ending = "activated"
            await self._until_all_serve(stored.id)
            return Activated(self._store.known.models[stored.id], before, compared, prepared.timings_ms)
        except ServiceError as error:
            ending = "refused" if error.status < 500 else "failed"
            raise
        finally:
            self._running = None
            self._observe(ending)

    async def _until_all_serve(self, model: int) -> None:
        """Wait for the other processes of this service. One that takes too long follows later, like a replica."""
        with suppress(TimeoutError):
            async with asyncio.timeout(ALL_S):
                while not self._all_serve(model):
                    await asyncio.sleep(0.01)

    def _prepare_and_compare(self, folder: Path) -> tuple[Prepared, ModelChange]:
        serving = self._active.current
        prepared = self._prepared(folder, serving.policy)
        compared = compare(serving.model.bundle, prepared.model.bundle, serving.policy, self._store.known)
        return prepared, compared

    def _prepare(self, wanted: StoredModel) -> Prepared:
        prepared = self._prepared(self.models.find(wanted.version), self._active.current.policy)
        if prepared.model.content_hash != wanted.content_hash:
            raise ModelRefusedError(
                wanted.version, f"its content hash is {prepared.model.content_hash}, not {wanted.content_hash}"
            )
        return prepared

    async def _follow(self) -> None:
        wait_s = FOLLOW_S
        while True:
            await asyncio.sleep(wait_s)
            wanted = self._store.known.active
            if wanted is None or wanted.id == self._active.current.id or self._running is not None:
                wait_s, self.trouble = FOLLOW_S, None
                continue
            self._running = wanted.version
            try:
                # The activating replica has decided about stored requirements; that holds here as well.
                self._swap(await self._run(self._prepare, wanted), wanted.id, by=wanted.activated_by)
                wait_s, self.trouble = FOLLOW_S, None
                self._observe("followed")
            except Exception as error:  # of any kind: the follower lives on, and the active model serves
                wait_s = min(2 * wait_s, LAST_WAIT_S)
                reason = str(error) if isinstance(error, ServiceError) else type(error).__name__
                self.trouble = f"{wanted.name}/{wanted.version} was activated, but cannot be served here: {reason}"
                self._observe("failed")
                self._log.error("model not followed", bundle=f"{wanted.name}/{wanted.version}", reason=reason)
            finally:
                self._running = None

    def _swap(self, prepared: Prepared, model_id: int, **facts: object) -> tuple[str, str]:
        """Serve it from now on. Returns name and version of the one before, which nothing here holds any longer."""
        model = prepared.model
        before = self._put(ServedModel(model, model_id, self._active.current.policy)).model
        timings_ms = {name: round(value, 1) for name, value in prepared.timings_ms.items()}
        names = {"bundle": f"{model.name}/{model.version}", "previous": f"{before.name}/{before.version}"}
        self._log.info("model activated", **names, **facts, **timings_ms)
        self._log.info("index", bundle=names["bundle"], **model.index_facts())
        return before.name, before.version

    async def _run(self, work: Callable[[Value], Result], value: Value) -> Result:
        return await asyncio.get_running_loop().run_in_executor(self._thread, work, value)
