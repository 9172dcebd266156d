"""Each check sees the damage that it is for, and nothing else does: the audit is audited."""

import pytest
from django.db import connection, transaction

from audit.checks import CHECKS
from audit.report import audit_now
from tests.audit.breakages_of_work import BREAKAGES

pytestmark = pytest.mark.django_db

# What Postgres would refuse, so that the damage can be done at all. Undone with the test's transaction.
GUARDS = """
SELECT format('ALTER TABLE %%I DROP CONSTRAINT %%I', conrelid::regclass, conname) FROM pg_constraint
JOIN pg_class ON pg_class.oid = conrelid
WHERE contype IN ('c', 'u', 'f') AND connamespace = 'public'::regnamespace AND relname ~ '{apps}'
UNION ALL
SELECT format('DROP INDEX %%I', indexrelid::regclass) FROM pg_index JOIN pg_class ON pg_class.oid = indrelid
WHERE indisunique AND indpred IS NOT NULL AND relname ~ '{apps}'
UNION ALL
SELECT format('DROP TRIGGER %%I ON %%I', tgname, tgrelid::regclass) FROM pg_trigger WHERE NOT tgisinternal
"""
APPS = "^(orders|inventory|payments|shipping|notifications|outbox|idempotency|sagas)_"


def drop_guards():
    with connection.cursor() as cursor:
        cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")
        cursor.execute(GUARDS.replace("%%", "%").format(apps=APPS))
        for (statement,) in cursor.fetchall():
            cursor.execute(statement)


def seen(breakage, history):
    """The checks that see the damage, which is undone."""
    with transaction.atomic():
        with connection.cursor() as cursor:
            for sql in breakage.sql:
                cursor.execute(sql, history)
        report = audit_now(at_rest=breakage.at_rest, with_ledgers=False)
        transaction.set_rollback(True)
    return {violation.check for violation in report.violations}


@pytest.mark.parametrize("subject", BREAKAGES)
def test_each_damage_is_seen_by_the_check_that_is_for_it(history, subject):
    """I1–I14: exactly the checks that are named."""
    drop_guards()

    expected = [(breakage.check, {breakage.check, *breakage.also}) for breakage in BREAKAGES[subject]]

    assert [(breakage.check, seen(breakage, history)) for breakage in BREAKAGES[subject]] == expected


def test_every_check_has_a_damage_that_it_is_for():
    tried = {breakage.check for subject in BREAKAGES.values() for breakage in subject}

    assert {check.name for check in CHECKS} - tried == {"every_order_has_its_key"}


def test_an_order_without_a_key_is_seen_where_keys_are_required(history, settings):
    """I2: two executions of one key leave an order that no key was answered with."""
    settings.IDEMPOTENCY = {**settings.IDEMPOTENCY, "REQUIRED": True}
    assert audit_now(at_rest=False, with_ledgers=False).violations == []
    with connection.cursor() as cursor:
        cursor.execute("DELETE FROM idempotency_idempotencykey WHERE resource_id = %(confirmed)s::text", history)

    (violation,) = audit_now(at_rest=False, with_ledgers=False).violations

    assert (violation.check, violation.rows[0]["order_id"]) == ("every_order_has_its_key", history["confirmed"])
