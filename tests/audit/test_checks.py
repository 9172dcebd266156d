"""The list of checks: every promise has one, every check is documented, and none needs what a database lacks."""

import re

import psycopg
import pytest
from django.db import connection

from audit.check import When
from audit.checks import CHECKS
from audit.scope import Scope, judged
from tests.architecture.tree import ROOT, sources

PAGE = (ROOT / "docs" / "audit.md").read_text()
INDEX = re.compile(r"\b[a-z]+(?:_[a-z]+){2,}\b")


@pytest.mark.parametrize("promise", [f"I{number}" for number in range(1, 15)])
def test_every_promise_has_a_check(promise):
    assert [check.name for check in CHECKS if check.promise == promise] != []


def test_no_two_checks_have_one_name():
    names = [check.name for check in CHECKS]

    assert len(names) == len(set(names))


def test_every_check_is_a_row_of_the_page_and_every_row_a_check():
    said = {When.ALWAYS: "", When.AT_REST: "at rest", When.WHOLE: "whole"}
    rows = re.findall(r"^\| (I\d+) \| `(\w+)` \| (.+?) \| (.*?) ?\|$", PAGE, re.M)

    assert set(rows) == {(check.promise, check.name, check.says, said[check.when]) for check in CHECKS}


@pytest.mark.django_db
def test_every_index_that_a_check_names_exists():
    with connection.cursor() as cursor:
        cursor.execute("SELECT relname FROM pg_class WHERE relkind = 'i'")
        known = {name for (name,) in cursor.fetchall()}
    comments = [
        line.strip()
        for source in sources("audit")
        if source.path.startswith("audit/checks/")
        for line in source.text.splitlines()
        if line.strip().startswith("#") and re.search(r"\b[Ii]ndex", line)
    ]
    named = {name for line in comments for name in INDEX.findall(line)}

    assert len(named) > 10
    assert named - known == set()


@pytest.mark.django_db
def test_the_audit_imports_no_models_and_no_services_but_the_listings():
    reads = {
        source.path: re.findall(
            r"^from (?!audit|django|outbox|providers)(\w+)(?:\.\w+)* import (?!services)", source.text, re.M
        )
        for source in sources("audit")
        if source.path.startswith(("audit/checks/", "audit/scope", "audit/report", "audit/runs", "audit/ledgers"))
    }
    apps = {"orders", "sagas", "inventory", "payments", "shipping", "notifications", "idempotency"}

    assert {path: found for path, found in reads.items() if apps & set(found)} == {}


@pytest.mark.django_db(transaction=True)
class TestTransaction:
    def test_all_checks_see_one_snapshot_that_nothing_can_be_written_in(self):
        with judged(Scope()), connection.cursor() as cursor:
            cursor.execute("SHOW transaction_isolation")
            isolation = cursor.fetchone()[0]
            cursor.execute("SHOW transaction_read_only")
            read_only = cursor.fetchone()[0]
            cursor.execute("SHOW statement_timeout")
            timeout = cursor.fetchone()[0]

        assert (isolation, read_only, timeout) == ("repeatable read", "on", "10min")

    def test_nothing_of_it_is_left(self):
        with judged(Scope()):
            pass

        with connection.cursor() as cursor:
            cursor.execute("SELECT to_regclass('audit_order'), current_setting('statement_timeout')")
            assert cursor.fetchone() == (None, "10s")

    def test_writers_are_not_held_up(self):
        """Every table that an audit reads can be written meanwhile."""
        tables = ("orders_order", "outbox_outboxmessage", "sagas_saga", "payments_payment", "inventory_stockitem")
        with judged(Scope()), psycopg.connect(**connection.get_connection_params()) as other:
            for check in CHECKS:
                with connection.cursor() as cursor:
                    cursor.execute(check.sql, Scope().parameters())
            for table in tables:
                other.execute(f"LOCK TABLE {table} IN ROW EXCLUSIVE MODE NOWAIT")
