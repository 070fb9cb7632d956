"""Which users a share is: as many as asked for, always the same ones, and more of them when it grows."""

from __future__ import annotations

from hashlib import blake2b

import numpy as np
import pytest

from service.model.share import Share, key_of, new_salt
from service.secret import derive_key

USERS = [str(user) for user in range(100_000)]
SECRET = derive_key("a secret of many characters", "share")
OTHER = derive_key("another secret, as long", "share")
KEY = bytes(range(32))


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
    drawn = b"salt of 16 bytes"
    key = blake2b(drawn, digest_size=32, key=b"secret", person=b"share key").digest()
    check = blake2b(digest_size=8, key=key, person=b"share check").digest()
    digests = {user: blake2b(user.encode(), digest_size=8, key=key, person=b"share").digest() for user in USERS[:500]}
    expected = [int.from_bytes(digest, "big") / 2**64 < 0.3 for digest in digests.values()]
    share = Share(0.3, key_of(b"secret", drawn + check))

    assert [share.has(user) for user in digests] == expected


def test_a_salt_is_good_with_the_secret_that_it_was_drawn_for_and_no_other():
    for secret, other in ((SECRET, OTHER), (SECRET, None), (None, SECRET)):
        salt = new_salt(secret)
        assert len(key_of(secret, salt)) == 32
        assert key_of(other, salt) is None
        assert new_salt(secret) != salt
    assert key_of(None, b"") is None


def test_shares_that_begin_have_nothing_to_do_with_each_other():
    for secret in (SECRET, None):
        one, other = (chosen(0.3, key_of(secret, new_salt(secret))) for _ in range(2))
        assert (one & other).mean() == pytest.approx(0.09, abs=0.006)


def test_any_text_may_be_the_id_of_a_user():
    share = Share(0.5, KEY)

    assert {type(share.has(user)) for user in ("", "ü", "\ud800", "x" * 10_000)} == {bool}
