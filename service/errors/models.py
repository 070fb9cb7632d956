"""Models that are not activated."""

from __future__ import annotations

from collections.abc import Sequence

from service.errors.base import ServiceError


class UnknownModelError(ServiceError):
    """No version of that name is in the models folder."""

    status = 404
    code = "unknown_model"

    def __init__(self, version: str, known: Sequence[str]) -> None:
        super().__init__(f"no version {version!r} in the models folder; it has {', '.join(known) or 'none'}")
        self.field = "version"
        self.value = version
        self.allowed = list(known)


class ModelRefusedError(ServiceError):
    """That version is damaged, or cannot do what is demanded here. The active one serves on."""

    status = 422
    code = "model_refused"

    def __init__(self, version: str, reason: str) -> None:
        super().__init__(f"version {version!r} is refused: {reason}")
        self.field = "version"
        self.value = version
        self.reason = reason


class RequirementsUnmetError(ServiceError):
    """That version cannot meet requirements that users have stored.

    `force=true` activates it all the same, but not for a share of the users.
    """

    status = 409
    code = "requirements_unmet"

    def __init__(
        self, version: str, users: int, combinations: Sequence[Sequence[str]], *, shared: bool = False
    ) -> None:
        """``shared``: whether it was to answer a share, or is to answer the rest beside one."""
        way = (
            "a share of the users needs two versions that can meet all of them"
            if shared
            else "force=true activates it all the same"
        )
        super().__init__(
            f"version {version!r} cannot meet the stored requirements of {users} users, whose requests it would refuse "
            f"with unsupported_requirement; {way}"
        )
        self.value = version
        self.users = users
        self.combinations = [list(names) for names in combinations]


class ShareRefusedError(ServiceError):
    """That version cannot answer a share of the users beside the active one, which goes on as it does."""

    status = 409
    code = "share_refused"

    def __init__(self, version: str, reason: str, *, attributes: Sequence[str] = ()) -> None:
        """``attributes``: those that only one of the two can protect so."""
        super().__init__(f"version {version!r} gets no share of the users: {reason}")
        self.value = version
        self.reason = reason
        self.attributes = list(attributes)


class ActivationRunningError(ServiceError):
    """Another activation is running on this replica."""

    status = 409
    code = "activation_running"

    def __init__(self, version: str) -> None:
        super().__init__(f"the activation of {version!r} is running; one at a time")
        self.value = version
