"""The model that serves. A request keeps the model it began with; the last of these requests frees an old model."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from service.balance import AskedBalance, Balance, Shown, resolve_balance
from service.model.balanced import Targets
from service.model.loaded import Model
from service.requirement import Policy, Requirement, check_policy, resolve
from service.store import LoggedProtection

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
        self._shown: tuple[Shown, ...] = ()
        self.quotas_wanted = False
        """Whether a list was ever to follow quotas: until then nobody counts what was shown."""
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
        return found._replace(digest=self.shown().digest)

    def shown(self, digest: str | None = None) -> Shown:
        """What was shown by the last count, or by the one with this digest while it is kept; nothing before the first.

        A list is made with the count that its balance was resolved by, though the next one may end in between.
        """
        found = next((each for each in self._shown if each.digest == digest), None)
        if found is None and not self._shown:
            self.count(np.zeros(len(self.model.item_shares)))
        return found or self._shown[0]

    def count(self, exposure: NDArray[np.float64]) -> None:
        """Tell what was shown by now, (G,)."""
        self._shown = (Shown.of(exposure), *self._shown[:1])

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


class ActiveModel:
    """Holds the model that serves: the only thing that a swap changes."""

    def __init__(self, served: ServedModel) -> None:
        self.current = served
        """The model for requests that begin now; each takes it once and keeps it."""

    def swap(self, served: ServedModel) -> ServedModel:
        """Serve another model from now on; returns the one before, which no new request will use."""
        before, self.current = self.current, served
        return before
