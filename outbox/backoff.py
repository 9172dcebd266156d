"""When to try again: exponential backoff with full jitter.

Source: "Exponential Backoff And Jitter", AWS Architecture Blog, 2015. Full jitter spreads a herd that failed together.
"""

import random
from datetime import timedelta

from .conf import conf


def delay(attempts: int) -> timedelta:
    """The wait after this many attempts (1 or more): uniform between 0 and min(base · 2^(attempts-1), cap)."""
    settings = conf()
    # The exponent is bounded: 2^1000 is no float.
    ceiling = min(settings.backoff_base_seconds * 2 ** min(attempts - 1, 32), settings.backoff_cap_seconds)
    return timedelta(seconds=random.uniform(0, ceiling))
