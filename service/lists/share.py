"""Whose lists are made while a second version answers a share of the users.

Nobody gets a list of a version that does not answer them, unless the command says that this is meant.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

from service.errors import StartError
from service.model.share import Share, key_of
from service.store import StoredArms

ShareRule = Literal["follow", "ignore"]
"""follow: lists of those alone whom the version answers; ignore: of everybody, whatever was activated."""


def whom(
    content_hash: str, arms: StoredArms, secret: bytes | None, rule: ShareRule | None
) -> Callable[[str], bool] | None:
    """Tells of a user id whether a version makes a list for it; None where it does for everybody.

    Args:
        content_hash: of the version.
        arms: the versions that answer now.
        secret: for `service.model.share.key_of`.
        rule: None where the command does not say; enough while one version answers everybody.

    Raises:
        StartError: it has to say, the version answers nobody, or the share is of a service with another secret.
    """
    active, trial = arms
    if rule == "ignore" or active is None or (rule is None and trial is None):
        return None
    if rule is None and trial is not None:
        both = (
            f"version {trial.version!r} answers a share of {trial.share:g} of the users, {active.version!r} the others"
        )
        choice = "--share follow makes the lists of those whom this version answers, --share ignore those of everybody"
        raise StartError(f"{both}: {choice}")
    answering = {one.content_hash: one.version for one in (active, trial) if one is not None}
    if content_hash not in answering:
        only = " and ".join(map(repr, answering.values()))
        raise StartError(f"--share follow: this version answers nobody; that database has {only} answer")
    if trial is None:
        return None
    key = key_of(secret, trial.share_salt or b"")
    if key is None:
        raise StartError(f"--share follow: the share of {trial.version!r} was begun with another EVENHAND_SECRET")
    share, inside = Share(trial.share, key), content_hash == trial.content_hash
    return lambda user: share.has(user) == inside
