"""Orders that nothing but the fault of the test keeps waiting: in stock, charged at once, shipped at once."""

import uuid
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

import requests
from django.db import connection

from outbox.models import OutboxMessage
from tests.support.service import Service

BODY = {"sku": "WIDGET", "quantity": 1}
THREADS = 4


def place(service: Service, count: int, *, keys: Sequence[str] = ()) -> list[requests.Response]:
    """So many POSTs, each once, a few at a time; the answers as they were."""
    chosen = keys or [str(uuid.uuid4()) for _ in range(count)]
    with ThreadPoolExecutor(THREADS) as pool:
        return list(pool.map(lambda key: service.place(BODY, key=key), chosen))


def statuses(answers: Sequence[requests.Response]) -> set[int]:
    return {answer.status_code for answer in answers}


def confirmed() -> int:
    with connection.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM orders_order WHERE status = 'confirmed'")
        return int(cursor.fetchone()[0])


def attempts_of_the_unfinished() -> set[int]:
    """What the open messages' attempts stand at."""
    return set(OutboxMessage.objects.filter(state="open").values_list("attempts", flat=True))


def attempts() -> set[int]:
    """What the attempts of all messages stand at."""
    return set(OutboxMessage.objects.values_list("attempts", flat=True))


def not_running(service: Service) -> list[str]:
    """The processes that have ended although nobody ended them."""
    return sorted(name for name, program in service.stack.programs.items() if not program.is_running)
