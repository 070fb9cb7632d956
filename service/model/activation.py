"""One activation: find → load → compare → record → take up. The models that answer go on meanwhile.

A model is activated for everybody, or for a share of the users beside the active one. The activating replica records
that in the database before it takes it up (`service.model.following`), as every other replica and the next start do.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from service.errors import ActivationRunningError, RequirementsUnmetError, ServiceError, ShareRefusedError
from service.model.active import ServedModel, Serving
from service.model.folder import ModelsFolder
from service.model.following import Ending, Follower
from service.model.loaded import Model
from service.model.preparation import ModelChange, compare, unmet_requirements
from service.model.share import new_salt
from service.requirement import check_share
from service.store import Store, StoredModel, Transaction, activate_model, end_share, register_model, share_model

ALL_S = 30.0
"""How long an activation waits for the other processes of its service."""
SHOWN = 20
"""Stored requirements that a refusal lists."""


@dataclass(frozen=True, slots=True)
class Activated:
    """A completed activation."""

    previous: tuple[str, str]
    """Name and version of the model that was active before."""
    compared: ModelChange | None
    """The model beside that one; None where a share has ended, for which nothing is loaded."""


class Activations:
    """Activates models of a folder, one at a time."""

    def __init__(
        self,
        models: ModelsFolder,
        serving: Serving,
        store: Store,
        follower: Follower,
        *,
        all_serve: Callable[[int], bool],
        observe: Callable[[Ending], None],
    ) -> None:
        """Nothing is activated yet.

        Args:
            models: the folder of versions.
            serving: holds the models that answer.
            store: records activations.
            follower: takes up what is recorded.
            all_serve: tells whether all processes of this service answer from some models, by their revision.
            observe: called with the ending of each attempt.
        """
        self.models = models
        self._serving = serving
        self._store = store
        self._follower = follower
        self._all_serve = all_serve
        self._observe = observe

    async def activate(self, version: str, *, share: float = 1.0, force: bool, by: str | None) -> Activated:
        """Answer from a version from now on, here and on every replica; by its end all processes of this service do.

        Args:
            version: in the models folder; older or newer than the present one.
            share: of the users that it answers: 1 for everybody; less for some, beside the active one; 0 for nobody.
            force: activate for everybody even if it cannot meet requirements that users have stored.
            by: name of the API key.

        Raises:
            UnknownModelError: no such version.
            ModelRefusedError: it is damaged, or cannot meet the operator's policy.
            RequirementsUnmetError: it cannot meet users' stored requirements; for a share, it or the active one.
            ShareRefusedError: it is the active one, another one has a share, or it cannot meet what the active one can.
            ActivationRunningError: another one is running here, or was recorded elsewhere meanwhile.
            UnavailableError: it cannot be recorded now.
        """
        if self._follower.busy is not None:
            raise ActivationRunningError(self._follower.busy)
        self._follower.busy = version
        ending: Ending = "failed"
        compared: ModelChange | None
        previous = _names(self._serving.arms.active)
        try:
            if share == 0:
                compared = None
                await self._end(version, by)
            else:
                compared = await self._begin(version, share, force=force, by=by)
            ending = "activated"
            await self._until_all_serve()
            return Activated(previous, compared)
        except ServiceError as error:
            ending = "refused" if error.status < 500 else "failed"
            raise
        finally:
            self._follower.busy = None
            self._observe(ending)

    async def _begin(self, version: str, share: float, *, force: bool, by: str | None) -> ModelChange:
        """Let a version answer everybody, or a share of the users."""
        folder = self.models.find(version)
        if share < 1:
            self._check_free(folder)
        model = self._trial_in(folder) or await self._follower.load(folder)
        active = self._serving.arms.active
        compared = await self._follower.in_thread(partial(self._compare, active, model, share, force=force))
        names = (model.name, version, model.content_hash, model.bundle.description.attribute_names)
        salt = new_salt(self._follower.secret)
        stored = await self._store.change(_record, names, share, beside=active.id, salt=salt, by=by)
        if stored is None:
            recorded = self._store.known.arms
            other = recorded.trial or recorded.active
            raise ActivationRunningError(version if other is None else other.version)
        served = ServedModel(model, stored.id, active.policy)
        del model, active  # nothing here holds a model that does not answer any more
        await self._follower.take_up(served, by=by, users_unmet=compared.users_unmet)
        return compared

    async def _end(self, version: str, by: str | None) -> None:
        """Let a version answer nobody. Its files are not looked at: where they are gone, that is no hindrance."""
        trial = self._store.known.arms.trial
        if trial is not None and trial.version == version:
            await self._store.change(end_share, trial.id)
            await self._follower.take_up(by=by)
        elif version == self._serving.arms.active.model.version:
            raise ShareRefusedError(version, "it is the active one; share 1 of another version ends that")
        else:
            self.models.find(version)

    def _check_free(self, folder: Path) -> None:
        """Pass only if a version may stand beside the active one.

        Raises:
            ShareRefusedError: it may not.
        """
        version, arms = folder.name, self._serving.arms
        if version == arms.active.model.version:
            raise ShareRefusedError(version, "it is the active one, and answers all whom no share gives another one")
        if (recorded := self._store.known.arms.trial) is not None:
            self._follower.share_of(recorded)
        if arms.trial is not None and self._trial_in(folder) is None:
            other, size = arms.trial.served.model, arms.trial.share.size
            there = f"version {other.version!r} (content {other.content_hash[:12]}) has one of {size:g}"
            raise ShareRefusedError(version, f"{there}, which ends with its share 1 or 0")

    def _trial_in(self, folder: Path) -> Model | None:
        """The model that has a share already, where it is what the folder holds."""
        trial = self._serving.arms.trial
        if trial is None or trial.served.model.version != folder.name:
            return None
        manifest = self.models.look(folder).manifest
        same = manifest is not None and manifest.content_hash == trial.served.model.content_hash
        return trial.served.model if same else None

    def _compare(self, active: ServedModel, model: Model, share: float, *, force: bool) -> ModelChange:
        """The differences, where they allow the activation.

        Raises:
            RequirementsUnmetError, ShareRefusedError: they do not.
        """
        known = self._store.known
        before, after = active.model.bundle, model.bundle
        compared = compare(before, after, active.policy, known)
        if share < 1:
            check_share(before.description, after.description, active.policy)
            unmet = unmet_requirements(before.description, active.policy, known)
            _check_met(active.model.version, unmet, shared=True)
        if share < 1 or not force:
            _check_met(model.version, compared.unmet, shared=share < 1)
        return compared

    async def _until_all_serve(self) -> None:
        """Wait for the other processes of this service. One that takes too long follows later, like a replica."""
        revision = self._store.known.arms.revision
        with suppress(TimeoutError):
            async with asyncio.timeout(ALL_S):
                while revision == self._store.known.arms.revision and not self._all_serve(revision):
                    await asyncio.sleep(0.01)


def _record(
    tx: Transaction,
    names: tuple[str, str, str, Sequence[str]],
    share: float,
    *,
    beside: int,
    salt: bytes,
    by: str | None,
) -> StoredModel | None:
    """Register a model and record what it answers, in one transaction; None where another activation came first."""
    stored = register_model(tx, *names)
    if share == 1:
        activate_model(tx, stored.id, by)
    elif not share_model(tx, stored.id, share, beside=beside, salt=salt, by=by):
        return None
    return stored


def _check_met(version: str, unmet: Mapping[tuple[str, ...], int], *, shared: bool) -> None:
    if unmet:
        raise RequirementsUnmetError(version, sum(unmet.values()), sorted(unmet)[:SHOWN], shared=shared)


def _names(served: ServedModel) -> tuple[str, str]:
    return served.model.name, served.model.version
