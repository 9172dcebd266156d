"""Webhooks that the sandbox has yet to deliver: one that arrives after everything else has ended opens a message again.

What looks at rest is at rest once none is under way: a webhook that was received is a committed message by then.
"""

import requests


def under_way(sandbox_url: str) -> int:
    """Reported, and neither received nor given up. None of a sandbox that is away: it forgot them with its process."""
    try:
        answer = requests.get(f"{sandbox_url}/webhook-target", timeout=10)
    except requests.ConnectionError:
        return 0
    answer.raise_for_status()
    return int(answer.json()["under_way"])
