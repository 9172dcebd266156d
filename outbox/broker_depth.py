"""How many messages wait in RabbitMQ's dead-letter queues, which nobody empties by himself.

Guarantee: the broker is asked for at most ASK_SECONDS, and one that does not answer costs these figures only. Not
guaranteed: a queue that was never declared (`manage.py topology apply`) is left out, not counted as empty.
"""

from collections.abc import Mapping

import structlog

from . import patience, rabbitmq, topology
from .conf import conf

DESTINATION = "rabbitmq"
ASK_SECONDS = 2.0
CONNECT_SECONDS = 1.0

log = structlog.get_logger(__name__)


def address() -> rabbitmq.Address | None:
    """The broker that events for other services go to; None where there is none."""
    destination = conf().destinations.get(DESTINATION)
    if destination is None:
        return None
    options = destination.get("OPTIONS", {})
    return rabbitmq.Address(url=options["url"], ca_file=options.get("ca_file", ""))


def dead_letters() -> Mapping[str, int]:
    """Messages by dead-letter queue; nothing where no broker is set, or where it does not answer."""
    where = address()
    if where is None:
        return {}
    names = [part.name for part in topology.parts(conf().work_queues) if part.name.endswith(".dlq")]
    try:
        return patience.within(ASK_SECONDS, lambda: _depths(where, names))
    except Exception as error:
        log.warning("outbox.dead_letters_unknown", error=rabbitmq.describe(error))
        return {}


def _depths(where: rabbitmq.Address, names: list[str]) -> dict[str, int]:
    connection = rabbitmq.connect(where, within_seconds=CONNECT_SECONDS)
    try:
        found = {name: rabbitmq.depth(connection, name) for name in names}
    finally:
        rabbitmq.let_go(connection)
    return {name: depth for name, depth in found.items() if depth is not None}
