"""The low-water mark: a shorter look for a backlog, and nothing that is due is ever left behind."""

from datetime import timedelta
from types import SimpleNamespace
from uuid import uuid4

import pytest
from django.db import connection

from outbox import bell, low_water
from outbox.models import OutboxMessage
from outbox.querysets import PutBack
from tests.support.told import CONSUMER, claim, make_due, row, tell

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("ledger")]


@pytest.fixture(autouse=True)
def clock(monkeypatch):
    """The process's clock; it stands still unless a test moves it."""
    moment = SimpleNamespace(now=100.0)
    monkeypatch.setattr(low_water, "time", SimpleNamespace(monotonic=lambda: moment.now))
    low_water.forget()
    yield moment
    low_water.forget()


def texts(messages):
    return [message.payload["text"] for message in messages]


def backlog(letters):
    for letter in letters:
        tell(letter)


def put_back(message):
    again = PutBack(message, after=timedelta(0), gives_attempt_back=True)
    assert OutboxMessage.objects.all().put_back([again]) == 1


def begins(statements):
    """From where each claim looked."""
    return [params["since"] for sql, params in statements if "SKIP LOCKED" in sql]


@pytest.fixture
def statements():
    seen = []

    def note(execute, sql, params, many, context):
        seen.append((sql, params))
        return execute(sql, params, many, context)

    with connection.execute_wrapper(note):
        yield seen


def test_after_a_full_batch_the_next_claim_begins_at_that_batchs_first_row(statements):
    backlog("abcd")
    assert texts(claim(limit=2)) == ["a", "b"]
    first = row("a").id

    assert texts(claim(limit=2)) == ["c", "d"]

    assert begins(statements) == [low_water.EVERYWHERE, first]


def test_after_a_batch_that_was_not_full_the_next_claim_looks_everywhere(statements):
    """So a system that keeps up never has a mark."""
    backlog("abc")
    claim(limit=2)
    claim(limit=2)

    assert claim(limit=2) == []

    assert begins(statements)[2:] == [low_water.EVERYWHERE]


def test_i4_a_claim_that_finds_nothing_above_the_mark_looks_everywhere_at_once(statements):
    """I4"""
    backlog("abcd")
    [a, _] = claim(limit=2)
    claim(limit=2)
    mark = low_water.mark(CONSUMER)
    assert mark == row("c").id
    put_back(a)

    assert texts(claim(limit=2)) == ["a"]

    assert begins(statements)[2:] == [mark, low_water.EVERYWHERE]


@pytest.mark.parametrize("comes_back", ["put back", "claim ran out", "committed late"])
def test_i4_what_is_due_below_the_mark_is_claimed_within_a_second_amid_a_backlog(clock, comes_back):
    """I4: whichever way a row gets there, an old id does not hide it."""
    backlog("abcdef")
    [a] = claim(limit=1)
    claim(limit=1)
    if comes_back == "put back":
        put_back(a)
    elif comes_back == "claim ran out":
        assert make_due(key=a.key) == 1
    else:
        OutboxMessage.objects.filter(key=a.key).update(attempts=0, epoch=0, claimed_at=None, due_at="2020-01-01T00:00Z")

    clock.now += 0.9
    assert texts(claim(limit=1)) == ["c"]
    clock.now += 0.1
    assert texts(claim(limit=1)) == ["a"]
    assert texts(claim(limit=1)) == ["d"]


def test_claims_from_the_mark_do_not_put_off_the_look_everywhere(clock):
    """I4: a mark that each full batch made new would hide what is below it for as long as the backlog lasts."""
    backlog("abcdefgh")
    [a] = claim(limit=1)
    claim(limit=1)
    put_back(a)

    found = []
    for _ in range(4):
        clock.now += 0.3
        found += texts(claim(limit=1))

    assert found == ["c", "d", "e", "a"]


def test_i12_a_row_above_the_mark_waits_for_the_head_of_its_aggregate_below_it():
    """I12: whether a row is the first of its aggregate is asked of all rows."""
    order = uuid4()
    tell("first", aggregate_id=order, sequence=1)
    backlog("bc")
    [first] = claim(limit=1)
    claim(limit=1)
    tell("second", aggregate_id=order, sequence=2)
    put_back(first)
    assert low_water.mark(CONSUMER) > row("first").id

    assert texts(claim(limit=5)) == ["c"]
    assert texts(claim(limit=5)) == ["first"]
    assert claim(limit=5) == []


def test_each_destination_has_its_own_mark():
    backlog("abc")
    claim(limit=1)
    claim(limit=1)

    assert low_water.mark(CONSUMER) == row("b").id
    assert low_water.mark("another") == low_water.EVERYWHERE


def test_a_ring_below_the_mark_is_at_most_a_second_late(clock, rings):
    """A process without a mark, as the relay is, rings it at its next poll."""
    backlog("abc")
    [a] = claim(limit=1)
    claim(limit=1)
    claim(limit=1)
    put_back(a)

    assert bell.ring([CONSUMER]) == 0
    clock.now += 1
    assert bell.ring([CONSUMER]) == 1
    assert rings == [CONSUMER]
