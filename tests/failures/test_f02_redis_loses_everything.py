"""F2: Redis restarted empty, FLUSHALL, eviction, out of memory, read-only: work goes on within 10 s of a working
broker, without an operator.

The drill measures the seconds; here nobody lends a hand, and the end is waited for.
"""

from collections.abc import Callable
from typing import Any

import pytest
import redis

from local import ports
from tests.support.service import Service

from .plain_orders import attempts, confirmed, not_running, place, statuses
from .rest import assert_all_is_well, come_to_rest

ORDERS = 6


def client(service: Service) -> Any:
    return redis.Redis.from_url(service.valkey.url(), protocol=2)


def flushed(service: Service) -> None:
    """Everything that was queued is gone; the broker works on."""
    client(service).flushall()
    assert statuses(place(service, ORDERS)) == {201}
    client(service).flushall()


def restarted_empty(service: Service) -> None:
    """Killed, and back on the same port without a memory."""
    port = service.valkey.port
    service.valkey.program.kill()
    assert statuses(place(service, ORDERS)) == {201}
    service.valkey.start()
    assert service.valkey.port == port


def full(service: Service) -> None:
    """maxmemory with noeviction: every write is refused, reads are answered."""
    _configure(service, **{"maxmemory-policy": "noeviction", "maxmemory": "1"})
    assert statuses(place(service, ORDERS)) == {201}
    with pytest.raises(redis.OutOfMemoryError):
        client(service).set("a", "b")
    _configure(service, maxmemory="0")


def evicting(service: Service) -> None:
    """allkeys-lru: queues and bindings are thrown out to make room."""
    _configure(service, **{"maxmemory-policy": "allkeys-lru", "maxmemory": "1"})
    assert statuses(place(service, ORDERS)) == {201}
    _configure(service, **{"maxmemory": "0", "maxmemory-policy": "noeviction"})
    assert client(service).dbsize() == 0 or client(service).info("stats")["evicted_keys"] > 0


def read_only(service: Service) -> None:
    """A replica of a primary that is not there, as after a failover that went wrong."""
    client(service).replicaof("127.0.0.1", ports.any_free())
    assert statuses(place(service, ORDERS)) == {201}
    with pytest.raises(redis.ReadOnlyError):
        client(service).set("a", "b")
    client(service).replicaof("NO", "ONE")


LOSSES: tuple[Callable[[Service], None], ...] = (flushed, restarted_empty, full, evicting, read_only)


@pytest.mark.proof
def test_f2_work_goes_on_whatever_redis_has_lost_and_no_process_needs_a_restart(service):
    """F2, I4: orders are taken meanwhile, all of them end afterwards, and no attempt was burnt on a dead broker."""
    service.start()
    assert statuses(place(service, 1)) == {201}
    come_to_rest(service)

    for number, lose in enumerate(LOSSES, start=1):
        lose(service)
        service.wait_until(
            lambda orders=1 + number * ORDERS: confirmed() == orders,
            within_seconds=90,
            what=f"the end of the orders after Redis was {lose.__name__}",
        )
        assert not_running(service) == [], lose.__name__

    assert_all_is_well(service)
    assert attempts() == {1}


def _configure(service: Service, **settings: str) -> None:
    for name, value in settings.items():
        client(service).config_set(name, value)
