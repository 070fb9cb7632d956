"""Takes up what was activated: here, on another replica, or before a restart. The models that answer go on meanwhile.

A replica that cannot take it up says why in its log, its metrics and the detail of its readiness, and tries again.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Literal, TypeVar, get_args

from structlog.typing import FilteringBoundLogger

from service.errors import ModelRefusedError, ServiceError, ShareRefusedError, UnavailableError
from service.index import Device, Kind
from service.model.active import Arms, ServedModel, Serving, Trial
from service.model.folder import ModelsFolder
from service.model.inference import use_one_thread
from service.model.loaded import Model
from service.model.preparation import prepare
from service.model.share import Share, key_of
from service.store import Store, StoredModel

FOLLOW_S = 0.5
"""Interval at which a replica looks for what was activated last."""
LAST_WAIT_S = 30.0
"""Longest wait before it tries again to follow."""

Ending = Literal["activated", "followed", "refused", "failed"]
"""activated: asked for here, and done; followed: done after another replica; refused: the model cannot serve, or the
request is wrong; failed: any other fault."""
ENDINGS: tuple[Ending, ...] = get_args(Ending)

Result = TypeVar("Result")


class Follower:
    """Brings the models that answer to those that are recorded."""

    def __init__(
        self,
        models: ModelsFolder,
        serving: Serving,
        store: Store,
        *,
        device: Device,
        index: Kind = "auto",
        milvus_url: str | None = None,
        secret: bytes | None,
        log: FilteringBoundLogger,
        swap: Callable[[Arms], Arms],
        observe: Callable[[Ending], None],
    ) -> None:
        """Nothing runs before `start`.

        Args:
            models: the folder of versions.
            serving: holds the models that answer.
            store: knows what is recorded.
            device: the device that indexes search on.
            index: the kind of index.
            milvus_url: address of Milvus, for that kind.
            secret: for `service.model.share.key_of`.
            log: for operators.
            swap: answers from other models, and returns those before.
            observe: called with the ending of each attempt.
        """
        self.trouble: str | None = None
        """Why this process does not serve what was activated last; None where it does."""
        self.busy: str | None = None
        """The version that is being activated or followed here; one at a time."""
        self.secret = secret
        self._prepare = partial(prepare, device=device, kind=index, milvus_url=milvus_url)
        self._models = models
        self._serving = serving
        self._store = store
        self._log = log
        self._swap = swap
        self._observe = observe
        self._thread = ThreadPoolExecutor(1, "activation", initializer=use_one_thread)
        self._rounds: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Take up what is recorded by now, a share or what was activated during the start; then follow other replicas.

        Call it before anything is answered, and once activations of the same service wait for this process.
        """
        with suppress(UnavailableError):  # nor can anything be answered without the database
            await self._store.change(lambda _: None)  # `known` has by now what was recorded before this
        if self._is_behind:
            await self._follow(trust_stamp=True)
        self._rounds = asyncio.create_task(self._run())

    async def close(self) -> None:
        """Stop following; wait for a model that is being loaded."""
        if self._rounds is not None:
            self._rounds.cancel()
            await asyncio.wait([self._rounds])
        await asyncio.to_thread(self._thread.shutdown, cancel_futures=True)

    async def in_thread(self, work: Callable[[], Result]) -> Result:
        """Do something that takes long in the thread that loads models."""
        return await asyncio.get_running_loop().run_in_executor(self._thread, work)

    async def load(self, folder: Path, *, trust_stamp: bool = False) -> Model:
        """Load a version and make lists with it.

        Args:
            folder: of the version.
            trust_stamp: skip checks that its files have passed before.

        Raises:
            ModelRefusedError: it is damaged, or cannot meet the operator's policy.
        """
        policy = self._serving.arms.active.policy
        prepared = await self.in_thread(partial(self._prepare, folder, policy, trust_stamp=trust_stamp))
        model = prepared.model
        timings_ms = {name: round(value, 1) for name, value in prepared.timings_ms.items()}
        self._log.info("index", bundle=f"{model.name}/{model.version}", **model.index_facts(), **timings_ms)
        return model

    def share_of(self, trial: StoredModel) -> Share:
        """The share of a model that has one.

        Raises:
            ShareRefusedError: it was begun by a replica with another secret, and is of other users than these would be.
        """
        key = key_of(self.secret, trial.share_salt or b"")
        if key is None:
            raise ShareRefusedError(trial.version, "it was begun with another EVENHAND_SECRET than there is here")
        return Share(trial.share, key)

    async def take_up(self, *at_hand: ServedModel, trust_stamp: bool = False, **facts: object) -> None:
        """Answer as it is recorded now.

        Args:
            at_hand: models that need not be loaded, besides those that answer.
            trust_stamp: skip checks that the files of the one with a share have passed before.
            facts: for the log.

        Raises:
            ServiceError: a model cannot be served here. Where it is to answer a share only, the active one serves by
                then, and alone.
        """
        wanted, before = self._store.known.arms, self._serving.arms
        if wanted.active is None:
            return
        there = {one.id: one for one in (*before.models, *at_hand)}
        active = there.get(wanted.active.id) or await self._load(wanted.active)
        arms = Arms(active, None, wanted.revision)
        if (trial := wanted.trial) is not None:
            if trial.id not in there:
                self._swap(Arms(active))
            share = self.share_of(trial)
            served = there.get(trial.id) or await self._load(trial, trust_stamp=trust_stamp)
            arms = arms._replace(trial=Trial(served, share))
        self._swap(arms)
        if [(one.id, share) for one, share in before.shares] != [(one.id, share) for one, share in arms.shares]:
            beside = {_name(one): share for one, share in arms.shares[1:]}
            names = {"bundle": _name(active), "previous": _name(before.active), "beside": beside}
            self._log.info("model activated", **names, **facts)

    async def _load(self, wanted: StoredModel, *, trust_stamp: bool = False) -> ServedModel:
        # The activating replica has decided about requirements; that holds here as well.
        model = await self.load(self._models.find(wanted.version), trust_stamp=trust_stamp)
        if model.content_hash != wanted.content_hash:
            raise ModelRefusedError(
                wanted.version, f"its content hash is {model.content_hash}, not {wanted.content_hash}"
            )
        return ServedModel(model, wanted.id, self._serving.arms.active.policy)

    @property
    def _is_behind(self) -> bool:
        wanted = self._store.known.arms
        return wanted.active is not None and wanted.revision != self._serving.arms.revision

    async def _run(self) -> None:
        wait_s = FOLLOW_S
        while True:
            await asyncio.sleep(wait_s)
            if not self._is_behind or self.busy is not None:
                wait_s, self.trouble = FOLLOW_S, None
            elif await self._follow():
                wait_s = FOLLOW_S
            else:
                wait_s = min(2 * wait_s, LAST_WAIT_S)

    async def _follow(self, *, trust_stamp: bool = False) -> bool:
        """Take up what is recorded, and say how that went; whether it went well."""
        wanted = self._store.known.arms
        last = wanted.trial or wanted.active
        assert last is not None  # noqa: S101  else nothing is behind
        self.busy = last.version
        try:
            await self.take_up(trust_stamp=trust_stamp, by=last.activated_by)
        except Exception as error:  # of any kind: the follower lives on, and the models that answer go on
            reason = str(error) if isinstance(error, ServiceError) else type(error).__name__
            self.trouble = f"{last.name}/{last.version} was activated, but cannot be served here: {reason}"
            self._observe("failed")
            self._log.error("model not followed", bundle=f"{last.name}/{last.version}", reason=reason)
            return False
        else:
            self.trouble = None
            self._observe("followed")
            return True
        finally:
            self.busy = None


def _name(served: ServedModel) -> str:
    return f"{served.model.name}/{served.model.version}"
