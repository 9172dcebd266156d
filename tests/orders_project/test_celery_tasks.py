"""A message that is none of ours is rejected; it never ends the worker that got it."""

import pytest
from celery.exceptions import InvalidTaskError

from orders_project import celery_tasks
from orders_project.celery import app


@pytest.mark.parametrize("error", [KeyError("id"), TypeError("NoneType"), ValueError("x"), AttributeError("x")])
def test_f8_what_celery_cannot_make_a_request_of_is_an_invalid_task(monkeypatch, error):
    """F8: which the worker rejects and logs; anything else ends it, and the broker hands it to the next one."""

    def request(*arguments, **named):
        raise error

    monkeypatch.setattr("celery.worker.strategy.default", lambda *arguments, **options: request)

    with pytest.raises(InvalidTaskError, match=type(error).__name__):
        celery_tasks.careful(None, app, None)("message", None, None, None, [])


def test_f8_trouble_of_the_worker_itself_is_not_hidden(monkeypatch):
    """F8: only what a message can cause is the message's."""

    def request(*arguments, **named):
        raise OSError("the pool is gone")

    monkeypatch.setattr("celery.worker.strategy.default", lambda *arguments, **options: request)

    with pytest.raises(OSError, match="pool"):
        celery_tasks.careful(None, app, None)("message", None, None, None, [])


def test_f8_every_task_of_the_service_is_handled_so():
    """F8"""
    app.loader.import_default_modules()

    for name in ("outbox.deliver", "outbox.run_tick"):
        assert app.tasks[name].Strategy == "orders_project.celery_tasks:careful"
