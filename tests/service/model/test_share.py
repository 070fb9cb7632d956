"""Which users a share is: as many as asked for, always the same ones, and more of them when it grows."""

from __future__ import annotations

from hashlib import blake2b

import numpy as np
import pytest

from service.model.share import Share, key_of
from service.secret import derive_key

USERS = [str(user) for user in range(100_000)]
KEY = key_of(derive_key("a secret of many characters", "share"), b"salt of 16 bytes")


def chosen(size, key=KEY):
    share = Share(size, key)
    return np.array([share.has(user) for user in USERS])


@pytest.mark.parametrize("size", [0.001, 0.01, 0.1, 0.25, 0.5, 0.9, 0.999])
def test_a_share_of_100_000_users_is_as_large_as_asked_for(size):
    found = chosen(size).mean()

    assert found == pytest.approx(size, abs=0.01)
    assert abs(found - size) < 4.5 * np.sqrt(size * (1 - size) / len(USERS))  # what chance allows


def test_a_share_that_grows_keeps_whom_it_has():
    before = chosen(0.0)
    for size in np.linspace(0, 1, 41):
        now = chosen(size)
        assert (now >= before).all()
        before = now
    assert before.all()


def test_the_same_users_are_chosen_in_every_process_and_release():
    """Numbers worked out apart, with no code of ours."""
    key = blake2b(b"salt", digest_size=32, key=b"secret", person=b"share key").digest()
    digests = {user: blake2b(user.encode(), digest_size=8, key=key, person=b"share").digest() for user in USERS[:500]}
    expected = [int.from_bytes(digest, "big") / 2**64 < 0.3 for digest in digests.values()]
    share = Share(0.3, key_of(b"secret", b"salt"))

    assert [share.has(user) for user in digests] == expected
    assert [user for user in USERS[:12] if share.has(user)] == ["0", "1", "9", "11"]


@pytest.mark.parametrize(
    "other",
    [
        key_of(derive_key("a secret of many characters", "share"), b"salt of the next"),
        key_of(derive_key("another secret, as long", "share"), b"salt of 16 bytes"),
        key_of(None, b"salt of 16 bytes"),
    ],
    ids=["another salt", "another secret", "no secret"],
)
def test_shares_of_other_keys_have_nothing_to_do_with_each_other(other):
    both = (chosen(0.3) & chosen(0.3, other)).mean()

    assert both == pytest.approx(0.09, abs=0.005)


def test_any_text_may_be_the_id_of_a_user():
    share = Share(0.5, KEY)

    assert {type(share.has(user)) for user in ("", "ü", "\ud800", "x" * 10_000)} == {bool}
