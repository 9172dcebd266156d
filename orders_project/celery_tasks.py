"""The class of the service's tasks: a message that is none of ours costs a log line, never its worker.

Guarantee: whatever stands in a task's headers and body, the worker that gets it goes on: what Celery cannot make a
request of is rejected and logged, as an unknown task is. Without this such a message ends every worker in turn, since a
broker that waits for acknowledgements hands it to the next one (F8). Nothing is lost with it: a ring is repeated.
"""

from collections.abc import Callable
from typing import Any

from celery import Task
from celery.exceptions import InvalidTaskError
from celery.worker import strategy

# What Celery raises over headers without an id, a body that is null, arguments of another shape.
UNREADABLE = (ValueError, TypeError, LookupError, AttributeError)


def careful(task: Any, app: Any, consumer: Any, **options: Any) -> Callable[..., Any]:
    """Celery's own way to make a request of a message; the worker rejects what raises InvalidTaskError."""
    handle = strategy.default(task, app, consumer, **options)

    def handle_carefully(*arguments: Any, **named: Any) -> Any:
        try:
            return handle(*arguments, **named)
        except UNREADABLE as error:
            raise InvalidTaskError(f"no message of ours: {type(error).__name__}: {error}") from error

    return handle_carefully


class CarefulTask(Task):
    abstract = True
    Strategy = "orders_project.celery_tasks:careful"
