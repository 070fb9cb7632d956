#!/usr/bin/env bash
# limits 5.8.0: windows of `MemoryStorage` run on the wall clock, so a clock that is set back locks keys out.
#
# Guess written down before: windows in memory run on a monotonic clock; only those in Redis follow a wall clock.
# Seen: after the wall clock goes back one hour, a limit of two a minute stays used up for an hour and a minute.
# For us: rate limits run on our own windows over a monotonic clock (service/rate_limits.py; a test moves the wall clock).
set -euo pipefail
folder=$(mktemp -d) && trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check limits==5.8.0
"$folder/venv/bin/python" - <<'PYTHON'
import time
from unittest.mock import patch

from limits import RateLimitItemPerMinute
from limits.storage import MemoryStorage
from limits.strategies import FixedWindowRateLimiter

limiter, two_a_minute = FixedWindowRateLimiter(MemoryStorage()), RateLimitItemPerMinute(2)
real = time.time
assert [limiter.hit(two_a_minute, "key") for _ in range(3)] == [True, True, False]
with patch("time.time", lambda: real() - 3600):
    wait = limiter.get_window_stats(two_a_minute, "key").reset_time - time.time()
    refused = not limiter.hit(two_a_minute, "key")
print(f"one hour back: refused {refused}, the window ends in {wait:,.0f} s by the new clock")
assert refused and wait > 3600
PYTHON
