"""A restore that is really tried: a dump taken under orders, everything lost, and every order of the dump ends once.

The lines that dump and restore are those of docs/operations.md. The providers live on, as theirs do: what happened at
them after the dump is found there by its keys, or named by the reconciliation. Nothing is asserted about time.
"""

import json
import os
import re
import sqlite3
import subprocess
import sys
import uuid
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, cast

import pytest
import requests
from django.core.management import call_command
from django.db import connection

from audit.models import Difference
from local.folder import PROJECT_DIR
from local.postgres import Postgres
from local.postgres_installation import find
from orders.models import Order
from outbox.models import OutboxMessage
from payments.models import Payment
from sagas.models import Saga
from tests.docs.pages import page
from tests.failures.own_postgres import DATABASE, own_postgres
from tests.support import told, webhooks
from tests.support.service import Service

from . import books, crowd

__all__ = ["own_postgres"]
pytestmark = pytest.mark.proof

RESTORED = "orders_restored"
START = "orders.start_fulfilment"
PLAIN = {"sku": "WIDGET", "quantity": 1}
REST_SECONDS = 180
# An order's id, and each entry of a book that names the order or something of it, by what the books call it.
LEDGER = {
    "charge": "SELECT order_id, idempotency_key FROM charges WHERE status = 'captured'",
    "refund": "SELECT c.order_id, r.idempotency_key FROM refunds r JOIN charges c ON c.id = r.charge_id"
    " WHERE r.status = 'refunded'",
    "shipment": "SELECT order_id, idempotency_key FROM shipments WHERE status <> 'refused'",
    "cancellation": "SELECT s.order_id, c.idempotency_key FROM cancellations c JOIN shipments s ON s.id = c.shipment_id"
    " WHERE c.status = 'cancelled'",
}


def test_what_a_backup_holds_ends_once_and_what_it_lacks_is_named(service, own_postgres, tmp_path):
    """I1, I3, I4, I8, I9: nobody's hand is needed but for the dead message, and for what the backup does not know."""
    own_postgres.drop_database(RESTORED)
    service.start()
    held = hold_orders_at_every_stage(service)
    placed_meanwhile = dump_under_orders(service, own_postgres, tmp_path)
    lost_keys = all_goes_on_until_the_end(service, dead=held["dead"])
    ended_before = books.ends()

    lose_everything(service, own_postgres)
    restore(service, own_postgres, tmp_path)
    known = set(Order.objects.values_list("pk", flat=True))
    assert set().union(*held.values()) <= known
    assert known - set().union(*held.values()) <= placed_meanwhile
    assert_it_stands_as_it_was_dumped(held)
    service.start()
    requeue_the_dead(service)
    come_to_rest(service)

    assert ended_before["confirmed"] > books.ends()["confirmed"] > 0
    assert_each_order_was_charged_under_one_key(service, known)
    assert service.audit("--no-ledgers") == []
    lost = {entry for entry in ledger(service) if entry[2] not in known}
    assert {kind for kind, _, _ in lost} == {"charge", "refund", "shipment"}
    assert differences(service) == {(kind, "theirs_only", key) for kind, key, _ in lost}

    assert_clients_may_repeat_what_they_sent(service, lost_keys, known=known)
    assert differences(service) == {(kind, "theirs_only", key) for kind, key, _ in lost}
    answer_for_what_is_left()
    assert service.audit() == []


def hold_orders_at_every_stage(service: Service) -> dict[str, set[uuid.UUID]]:
    """Finished ones; charged, and not shipped; being charged; not begun; and one whose beginning is dead."""
    held = {"finished": ids(crowd.place_all(service, 8))}
    come_to_rest(service)
    mood(service, "shipping", "down")
    held["charged"] = ids(place(service, 4))
    service.wait_until(
        lambda: Payment.objects.filter(order_id__in=held["charged"], status="captured").count() == 4,
        within_seconds=60,
        what="the charge of the orders that cannot be shipped",
    )
    mood(service, "payments", "down")
    held["charging"] = ids(place(service, 4))
    service.wait_until(
        lambda: (
            Saga.objects.filter(subject_id__in=held["charging"], current_step="charge_payment").count() == 4
            and Payment.objects.filter(order_id__in=held["charging"]).exists()
        ),
        within_seconds=60,
        what="a first attempt to charge one of the others",
    )
    service.kill("worker")
    held["dead"] = ids(place(service, 1))
    bury_the_beginning()
    held["not begun"] = ids(place(service, 4))
    return held


def bury_the_beginning() -> None:
    """As a worker buries a message that it claimed."""
    OutboxMessage.objects.filter(destination=START, state="open").update(due_at="2020-01-01T00:00:00Z")
    [claimed] = told.claim(types=None, name=START)
    OutboxMessage.objects.all().bury([claimed], error="RuntimeError: what only a person mends")


def dump_under_orders(service: Service, server: Postgres, folder: Path) -> set[uuid.UUID]:
    """Backups, of docs/operations.md, while orders are placed; returns those that it may hold or not."""
    with ThreadPoolExecutor(1) as pool:
        placing = pool.submit(crowd.place_all, service, 24)
        run_documented("## Backups", server, DATABASE, folder)
        return ids(placing.result())


def all_goes_on_until_the_end(service: Service, *, dead: set[uuid.UUID]) -> dict[str, str]:
    """What the backup will not know: the held orders end, and more are placed and end. Returns their ids by key."""
    mood(service, "payments", "ok")
    mood(service, "shipping", "ok")
    service.start("worker")
    keys = [str(uuid.uuid4()) for _ in range(3)]
    answers = {key: service.place(PLAIN, key=key) for key in keys}
    assert {answer.status_code for answer in answers.values()} == {201}
    crowd.place_all(service, 8)
    come_to_rest(service, but=1)
    assert set(Order.objects.filter(status="pending").values_list("pk", flat=True)) == dead
    return {key: answer.json()["id"] for key, answer in answers.items()}


def lose_everything(service: Service, server: Postgres) -> None:
    """SIGKILL to every process; the database is dropped, the broker forgets."""
    service.kill()
    connection.close()
    server.drop_database(DATABASE)
    service.flush_broker()


def restore(service: Service, server: Postgres, folder: Path) -> None:
    """Restore from a backup, of docs/operations.md; processes and test are led to the restored database."""
    run_documented("### Restore from a backup", server, RESTORED, folder)
    cast(dict[str, str], service.stack.environment)["DATABASE_URL"] = server.url(RESTORED)
    connection.settings_dict["NAME"] = RESTORED


def assert_it_stands_as_it_was_dumped(held: Mapping[str, set[uuid.UUID]]) -> None:
    """Or nothing of what follows would be proved."""
    pending = set(Order.objects.filter(status="pending").values_list("pk", flat=True))
    assert pending >= held["charged"] | held["charging"] | held["not begun"] | held["dead"]
    assert not pending & held["finished"]
    begun = set(Saga.objects.values_list("subject_id", flat=True))
    assert begun >= held["charged"] | held["charging"]
    assert not begun & (held["not begun"] | held["dead"])
    assert set(OutboxMessage.objects.filter(state="dead").values_list("aggregate_id", flat=True)) == held["dead"]


def requeue_the_dead(service: Service) -> None:
    [message] = OutboxMessage.objects.filter(state="dead")
    ended = manage(service, "dead_letters", "requeue", str(message.message_id), "--reason", "mended")
    assert ended.returncode == 0, ended.stdout + ended.stderr


def assert_each_order_was_charged_under_one_key(service: Service, known: set[uuid.UUID]) -> None:
    """Whether it went well or not: a second key is a second charge that only luck declines."""
    charges = in_ledger(service, "SELECT order_id, count(*) FROM charges GROUP BY order_id")
    counts = {uuid.UUID(order_id): count for order_id, count in charges}
    charged = set(Payment.objects.values_list("order_id", flat=True))
    assert charged >= set(Order.objects.filter(status="confirmed").values_list("pk", flat=True))
    assert {order_id: counts.get(order_id) for order_id in charged} == dict.fromkeys(charged, 1)
    assert {order_id for order_id in known if counts.get(order_id, 0) > 1} == set()


def differences(service: Service) -> set[tuple[str, str, str]]:
    """What the reconciliation finds, as (object, kind, key)."""
    ended = manage(service, "reconcile", "--at-rest", "--json")
    assert ended.returncode == 1, ended.stdout + ended.stderr
    return {(one["object"], one["kind"], one["provider_key"]) for one in json.loads(ended.stdout)["differences"]}


def assert_clients_may_repeat_what_they_sent(
    service: Service, lost_keys: Mapping[str, str], *, known: set[uuid.UUID]
) -> None:
    """The key is lost with its order, so the repetition is another order: it is fulfilled, and charged as another."""
    for key, lost_id in lost_keys.items():
        first, again = (service.place(PLAIN, key=key) for _ in range(2))
        assert (first.status_code, again.status_code) == (201, 201)
        assert first.json()["id"] == again.json()["id"] != lost_id
    come_to_rest(service)
    new = set(Order.objects.values_list("pk", flat=True)) - known
    assert len(new) == len(lost_keys)
    assert set(Order.objects.filter(pk__in=new).values_list("status", flat=True)) == {"confirmed"}
    charged = {order_id for kind, _, order_id in ledger(service) if kind == "charge"}
    assert charged >= new | ids(lost_keys.values())


def answer_for_what_is_left() -> None:
    """As a person does who has given the money back at the provider, and stopped the parcels."""
    for difference in Difference.objects.filter(state="open"):
        call_command("reconcile", resolve=difference.pk, reason="lost by the restore; given back at the provider")


def come_to_rest(service: Service, *, but: int = 0) -> None:
    service.wait_until(
        lambda: books.still_under_way() == but, within_seconds=REST_SECONDS, what="the end of every order"
    )
    service.wait_until(
        lambda: webhooks.under_way(service.sandbox_url) == 0, within_seconds=REST_SECONDS, what="the last webhook"
    )
    service.wait_until(lambda: books.open_messages() == 0, within_seconds=REST_SECONDS, what="rest in the outbox")


def place(service: Service, count: int) -> list[str]:
    answers = [service.place(PLAIN) for _ in range(count)]
    assert {answer.status_code for answer in answers} == {201}
    return [answer.json()["id"] for answer in answers]


def ids(texts: Any) -> set[uuid.UUID]:
    return {uuid.UUID(text) for text in texts}


def mood(service: Service, provider: str, name: str) -> None:
    body = {"mood": name, "rates": {}}
    requests.post(f"{service.sandbox_url}/moods/{provider}", json=body, timeout=10).raise_for_status()


def ledger(service: Service) -> set[tuple[str, str, uuid.UUID]]:
    """Everything that happened at the providers, as (object, key, order)."""
    return {
        (kind, key, uuid.UUID(order_id))
        for kind, statement in LEDGER.items()
        for order_id, key in in_ledger(service, statement)
    }


def in_ledger(service: Service, statement: str) -> Iterator[tuple[Any, ...]]:
    """Read beside the sandbox, which keeps it as SQLite."""
    reading = sqlite3.connect(service.stack.folder.path / "sandbox" / "ledger.sqlite3")
    try:
        yield from reading.execute(statement).fetchall()
    finally:
        reading.close()


def manage(service: Service, *arguments: str) -> "subprocess.CompletedProcess[str]":
    """A command as an operator types it, with the environment of the processes."""
    environment = {**os.environ, **service.stack.environment, "PROCESS_NAME": "operator"}
    command = [sys.executable, str(PROJECT_DIR / "manage.py"), *arguments]
    return subprocess.run(
        command, env=environment, cwd=PROJECT_DIR, capture_output=True, text=True, timeout=120, check=False
    )


def run_documented(heading: str, server: Postgres, database: str, folder: Path) -> None:
    """The first shell block under a heading of docs/operations.md, with the programs that came with this Postgres."""
    _, _, below = page("docs/operations.md").text.partition(f"\n{heading}\n")
    block = re.search(r"^```sh\n(.*?)^```", below, re.MULTILINE | re.DOTALL)
    assert block is not None
    lines = block[1].replace("orders.dump", str(folder / "orders.dump"))
    lines = lines.replace(".venv/bin/python manage.py", f"{sys.executable} {PROJECT_DIR / 'manage.py'}")
    environment = {
        **os.environ,
        "PATH": f"{find(server.home).bin}:{os.environ['PATH']}",
        "DATABASE_URL": server.url(database),
        "SERVER_URL": server.url("postgres"),
    }
    ended = subprocess.run(
        ["sh", "-ec", lines], env=environment, cwd=PROJECT_DIR, capture_output=True, text=True, timeout=300, check=False
    )
    assert ended.returncode == 0, ended.stdout + ended.stderr
