"""The processes as data: what the engine takes for granted about them."""

from local.process_table import REMOTE_WORKER_THREADS
from outbox import routing


def test_slow_providers_cannot_take_every_thread_of_the_remote_worker():
    """At most two runs of one destination at once: one claims, one awaits its last answers (outbox.remote)."""
    remote = [destination.name for destination in routing.all_inside() if destination.remote]
    assert 2 * len(remote) <= REMOTE_WORKER_THREADS
