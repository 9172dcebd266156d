"""Publish works the same from a view, a command, a task and the shell: in a transaction, or it is an error."""

from io import StringIO

import pytest
from celery import shared_task
from django.core.management import BaseCommand, call_command
from django.db import transaction
from django.http import HttpResponse
from django.test import RequestFactory, override_settings
from django.urls import path

from outbox.exceptions import NotInTransaction
from outbox.models import OutboxMessage
from outbox.publisher import publish
from tests.support.told import CONSUMER, Told

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("ledger")]


def tell_bare() -> None:
    from uuid import uuid4

    publish(Told(text="hello"), aggregate_id=uuid4(), sequence=1, correlation_id=uuid4())


def tell_in_transaction() -> None:
    with transaction.atomic():
        tell_bare()


class Command(BaseCommand):
    def handle(self, *args, **options):
        tell_in_transaction() if options["atomic"] else tell_bare()

    def add_arguments(self, parser):
        parser.add_argument("--atomic", action="store_true")


def view(request):
    tell_in_transaction() if request.GET.get("atomic") else tell_bare()
    return HttpResponse()


@shared_task(name="tests.tell")
def task(*, atomic: bool) -> None:
    tell_in_transaction() if atomic else tell_bare()


urlpatterns = [path("tell", view)]

SHELL = """
from tests.outbox.test_contexts import tell_bare, tell_in_transaction
tell_{}()
"""

CALLERS = {
    "view": lambda atomic: view(RequestFactory().get("/tell", {"atomic": "1"} if atomic else {})),
    "command": lambda atomic: call_command(Command(), atomic=atomic, stdout=StringIO()),
    "task": lambda atomic: task.apply(kwargs={"atomic": atomic}, throw=True),
    "shell": lambda atomic: call_command("shell", command=SHELL.format("in_transaction" if atomic else "bare")),
}


@pytest.mark.parametrize("caller", CALLERS)
def test_in_a_transaction_the_row_is_there(caller):
    CALLERS[caller](True)

    assert list(OutboxMessage.objects.values_list("destination", "state")) == [(CONSUMER, "open")]


@pytest.mark.parametrize("caller", CALLERS)
def test_without_one_it_is_an_error_and_nothing_is_written(caller):
    with pytest.raises(NotInTransaction):
        CALLERS[caller](False)

    assert OutboxMessage.objects.count() == 0


@override_settings(ROOT_URLCONF="tests.outbox.test_contexts")
def test_a_served_request_too(client):
    assert client.get("/tell?atomic=1").status_code == 200

    assert OutboxMessage.objects.count() == 1
