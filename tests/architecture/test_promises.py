"""Each promise I1–I14 has a guard in Postgres where one can exist, is cited in code, and is proved by a test."""

import re

import pytest
from django.db import connection

from tests.architecture.tree import APPS, sources

PROMISES = [f"I{number}" for number in range(1, 15)]

# What Postgres itself refuses, by the name of the constraint, unique index or trigger. I1 is one transaction, I8 and
# I14 are the statements' own predicates: there is no guard to look up, only tests.
GUARDS = {
    "I2": ["one_use_per_caller_key_and_route"],
    "I3": [
        "payment_one_live_per_order",
        "payment_provider_key_is_used_once",
        "refund_provider_key_is_used_once",
        "payment_refunds_never_exceed_captured",
    ],
    "I4": ["outbox_state_is_known", "outbox_finished_if_and_only_if_ended"],
    "I5": ["outbox_inboxmessage_pkey"],
    "I6": ["one_open_message_per_saga", "a_running_saga_waits_for_one_message"],
    "I7": ["a_saga_never_turns_forward_again"],
    "I8": ["only_a_done_step_is_compensated"],
    "I9": [
        "payment_captured_in_full_or_not_at_all",
        "payment_refunded_means_all_of_it",
        "order_line_total_is_quantity_times_price",
    ],
    "I10": ["stock_is_never_oversold", "one_reservation_per_order_and_sku"],
    "I12": ["one_message_per_aggregate_sequence_and_destination"],
    "I13": ["payment_status_is_known"],
}
GUARD_EXISTS = """
SELECT conname FROM pg_constraint WHERE conname = ANY(%(names)s)
UNION SELECT relname FROM pg_class JOIN pg_index ON indexrelid = pg_class.oid
      WHERE indisunique AND relname = ANY(%(names)s)
UNION SELECT tgname FROM pg_trigger WHERE tgenabled = 'O' AND tgname = ANY(%(names)s)
"""
DUE_AT_IS_REQUIRED = """
SELECT is_nullable FROM information_schema.columns WHERE table_name = 'outbox_outboxmessage' AND column_name = 'due_at'
"""


CITATION = re.compile(r"\bI(\d+)(?:–I(\d+))?\b")


def cited_in(text: str) -> set[str]:
    """`I3` cites one promise, `I3–I5` three."""
    ranges = [(int(first), int(last or first)) for first, last in CITATION.findall(text)]
    return {f"I{number}" for first, last in ranges for number in range(first, last + 1)}


def test_a_range_cites_every_promise_in_it():
    assert cited_in("I1, I3–I5 and AI7") == {"I1", "I3", "I4", "I5"}


@pytest.mark.parametrize("promise", PROMISES)
def test_every_promise_is_cited_in_the_code_that_keeps_it(promise):
    cited = [source.path for source in sources(*APPS) if promise in cited_in(source.text)]

    assert cited, f"no module cites {promise}"


@pytest.mark.parametrize("promise", PROMISES)
def test_every_promise_is_named_by_a_test(promise):
    here = "tests/architecture/test_promises.py"
    proved = [source.path for source in sources("tests") if source.path != here and promise in cited_in(source.text)]

    assert proved, f"no test names {promise}"


@pytest.mark.django_db
@pytest.mark.parametrize("promise", GUARDS)
def test_postgres_guards_the_promise(promise):
    with connection.cursor() as cursor:
        cursor.execute(GUARD_EXISTS, {"names": GUARDS[promise]})
        found = {name for (name,) in cursor.fetchall()}

    assert found == set(GUARDS[promise])


@pytest.mark.django_db
def test_every_message_has_a_time_at_which_it_is_due():
    """I11: every wait ends."""
    with connection.cursor() as cursor:
        cursor.execute(DUE_AT_IS_REQUIRED)

        assert cursor.fetchall() == [("NO",)]
