"""Dead messages, buried as the service buries them."""

from datetime import UTC, datetime, timedelta
from typing import Any

from outbox import requeue_orders
from outbox.models import OutboxMessage, RequeueOrder, Tick
from tests.support import told

CLOCK = "test.clock"
EPOCH = datetime(2026, 1, 1, tzinfo=UTC)
BROKEN = "TimeoutError: no answer within 12 s"


def bury(text: str, error: str = BROKEN, *, name: str = told.CONSUMER, **options: Any) -> OutboxMessage:
    """Publishes a message, claims it as a worker does, and buries it with this error. Its aggregate may be given."""
    message_id = told.tell(text, **options)
    claimed = told.claim(name=name)
    mine = [message for message in claimed if message.message_id == message_id]
    OutboxMessage.objects.all().bury(mine, error=error)
    told.make_due(key__in=[message.key for message in claimed if message not in mine])
    return OutboxMessage.objects.get(message_id=message_id, destination=name)


def bury_again(text: str, error: str = BROKEN) -> None:
    """What was requeued dies once more."""
    OutboxMessage.objects.all().bury(
        [message for message in told.claim() if message.payload["text"] == text], error=error
    )


def own_clock(monkeypatch: Any) -> None:
    """Requeue orders are paced by a clock that moves only when a test says so."""
    reading = f"coalesce((SELECT ran_at FROM outbox_tick WHERE name = '{CLOCK}'), '{EPOCH}'::timestamptz)"
    for statement in ("ALLOWED", "COUNT"):
        sql = getattr(requeue_orders, statement)
        monkeypatch.setattr(requeue_orders, statement, sql.replace("statement_timestamp()", reading))


def let_pass(order: RequeueOrder, seconds: float) -> None:
    """It is so many seconds since the order was last given its due."""
    RequeueOrder.objects.filter(pk=order.pk).update(paced_until=EPOCH)
    Tick.objects.update_or_create(name=CLOCK, defaults={"ran_at": EPOCH + timedelta(seconds=seconds)})
    Tick.objects.filter(name="outbox.requeue").delete()


def work(order: RequeueOrder, *, seconds: float = 1.0) -> int:
    """A tick after so much time; answers how many it made due."""
    let_pass(order, seconds)
    return requeue_orders.work()
