"""The models that answer, and who gets which. A request keeps the model it began with; the last of them frees it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from service.balance import AskedBalance, Balance, ExposureCount, resolve_balance
from service.model.balanced import Targets
from service.model.loaded import Model
from service.model.share import Share
from service.requirement import Policy, Requirement, check_policy, resolve
from service.store import UNRECORDED, LoggedProtection

REMEMBERED = 4096
"""How many resolved requirements are kept; few different ones are asked for."""
Names = tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Resolved:
    """A requirement, and the same as the request log holds it."""

    requirement: Requirement
    logged: LoggedProtection


class ServedModel:
    """A model as this process serves it: with its id in the request log and the operator's policy."""

    def __init__(self, model: Model, model_id: int, policy: Policy) -> None:
        """Put a model behind a policy.

        Args:
            model: loaded.
            model_id: `StoredModel.id` of the same bundle.
            policy: the operator's.

        Raises:
            StartError: this bundle cannot meet the policy, or lacks item groups of the operator's target.
        """
        check_policy(model.bundle.description, policy)
        policy = over(model, policy)
        self.model = model
        self.id = model_id
        self.policy = policy
        self._counts: tuple[ExposureCount, ...] = ()
        self.quotas_wanted = False
        """Whether a list was ever to follow quotas: until then nobody counts exposure."""
        self._resolved: dict[tuple[Names | None, Names | None], Resolved] = {}

    def resolve(self, sensitive: Names | None, stored: Names | None) -> Resolved:
        """As `service.requirement.resolve`, remembered for each pair of arguments. For the event loop alone."""
        found = self._resolved.get((sensitive, stored))
        if found is None:
            bundle = self.model.bundle.description
            requirement = resolve(bundle, self.policy, sensitive, stored or ())
            logged = LoggedProtection.of(sensitive, requirement.sources, bundle.attribute_names)
            found = Resolved(requirement, logged)
            if len(self._resolved) >= REMEMBERED:
                self._resolved.clear()
            self._resolved[sensitive, stored] = found
        return found

    def balance(self, asked: AskedBalance | None, weight: float | None, requirement: Requirement) -> Balance | None:
        """As `service.balance.resolve_balance`."""
        if asked is None and weight is None and self.policy.balance.default is None:
            return None
        found = resolve_balance(self.policy.balance, asked, weight, requirement.sources)
        if found is None or found.target != "quotas":
            return found
        self.quotas_wanted = True
        return found._replace(digest=self.counted().digest)

    def counted(self, digest: str | None = None) -> ExposureCount:
        """The last count, or the one with this digest while it is kept; all zeros before the first.

        A list is made with the count that its balance was resolved by, though the next one may end in between.
        """
        found = next((each for each in self._counts if each.digest == digest), None)
        if found is None and not self._counts:
            self.count(np.zeros(len(self.model.item_shares)))
        return found or self._counts[0]

    def count(self, exposure: NDArray[np.float64]) -> None:
        """Take a new count of the exposure of item groups, (G,)."""
        self._counts = (ExposureCount.of(exposure), *self._counts[:1])

    @cached_property
    def targets(self) -> Targets:
        """What lists may be balanced towards; the first use works it out."""
        return self.model.targets(self.policy.balance)


def over(model: Model, policy: Policy) -> Policy:
    """The policy over a bundle; lays groups out where lists need them at once.

    Raises:
        StartError: the bundle lacks item groups of the operator's target, or the target that lists have by default.
    """
    balance = policy.balance.over(personal=model.bundle.balance is not None)
    if balance.target_from is not None or balance.default is not None:
        model.targets(balance)
    return replace(policy, balance=balance)


class Trial(NamedTuple):
    """A second model, and its share of the users."""

    served: ServedModel
    share: Share


class Arms(NamedTuple):
    """The models that answer at a time, as the arms of an A/B test: the active one, and perhaps another beside it."""

    active: ServedModel
    """For everybody whom no share gives the other one, and for requests that name no user."""
    trial: Trial | None = None
    revision: int = UNRECORDED
    """`StoredArms.revision` of what was asked for."""

    def of(self, user: str | None) -> ServedModel:
        """The model that answers a user; None for nobody known: of them none could be told again."""
        if self.trial is None or user is None or not self.trial.share.has(user):
            return self.active
        return self.trial.served

    @property
    def models(self) -> tuple[ServedModel, ...]:
        """One or two, the active one first."""
        return (self.active,) if self.trial is None else (self.active, self.trial.served)

    @property
    def shares(self) -> tuple[tuple[ServedModel, float], ...]:
        """Each of them, and the share of the users that it answers."""
        if self.trial is None:
            return ((self.active, 1.0),)
        size = self.trial.share.size
        return ((self.active, 1.0 - size), (self.trial.served, size))


class Serving:
    """Holds the models that answer: the only thing that an activation changes."""

    def __init__(self, arms: Arms) -> None:
        self.arms = arms
        """The models for requests that begin now; each takes its own once and keeps it."""

    def swap(self, arms: Arms) -> Arms:
        """Answer from these from now on; returns those before, which no new request will use."""
        before, self.arms = self.arms, arms
        return before
