"""The Celery application: queues and beat's schedule.

Celery carries doorbells only (outbox.bell): a lost, doubled or ancient task does no harm. Beat's ticks come from the
registry in outbox.periodic, so a tick exists once, for beat and for the relay alike.
"""

import os

from celery import Celery
from celery.signals import beat_init, worker_ready, worker_shutting_down
from kombu import Queue

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "orders_project.settings")

QUEUES = ("ticks", "default", "steps", "payments", "shipping", "notifications")
# By RabbitMQ's clock (from Redis a tick may come late: it finds its work done and ends at once). Never Celery's
# `expires`: told by the worker's clock, it would discard every tick of a beat whose clock is behind (F6).
TICK_EXPIRES_SECONDS = 60

app = Celery("orders", task_cls="orders_project.celery_tasks:CarefulTask")
app.config_from_object("django.conf:settings", namespace="CELERY")
app.autodiscover_tasks()


def _queue(name: str) -> Queue:
    """One queue; quorum queues on RabbitMQ, because classic ones lose their content with their node."""
    arguments = {"x-queue-type": "quorum"} if str(app.conf.broker_url).startswith("amqp") else {}
    return Queue(name, queue_arguments=arguments)


@app.on_after_configure.connect
def _configure(sender: Celery, **_: object) -> None:
    """Before anything is sent: a process that only rings never finalises its tasks, and would declare classic queues,
    which the workers then refuse."""
    sender.conf.task_queues = [_queue(name) for name in QUEUES]


@app.on_after_finalize.connect
def _schedule(sender: Celery, **_: object) -> None:
    from outbox import periodic

    sender.conf.beat_schedule = {
        tick.name: {
            "task": "outbox.run_tick",
            "schedule": tick.every.total_seconds(),
            "args": [tick.name],
            "options": {"queue": "ticks", "expiration": TICK_EXPIRES_SECONDS},
        }
        for tick in periodic.registered()
    }


@beat_init.connect
@worker_ready.connect
def _heartbeat(**_: object) -> None:
    """Says that this process is alive, under the kind that its name begins with ("worker-2" is a worker)."""
    from outbox import heartbeat

    heartbeat.start(os.environ.get("PROCESS_NAME", "worker").rstrip("-0123456789"))


@worker_shutting_down.connect
def _stop(**_: object) -> None:
    """A warm shutdown: what is in flight ends, nothing new is claimed."""
    from outbox import heartbeat

    heartbeat.stop()
