"""The bare Celery chain of P1: four tasks, each one transaction. No outbox, no inbox, no saga state, no promise."""

from celery import chain, shared_task
from django.db import connection, transaction

# A queue that our worker serves, so that both sides have the same processes.
QUEUE = "default"


@shared_task(name="benchmarks.touch")
def touch(number: int, row: str) -> None:
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(
            f"UPDATE bench_step_{number} SET touched = touched + 1 WHERE id = %s",
            [row],
        )


def start(row: str) -> None:
    chain(*(touch.si(number, row).set(queue=QUEUE) for number in (1, 2, 3, 4))).apply_async()
