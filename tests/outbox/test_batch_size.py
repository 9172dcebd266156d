"""A claim is small while little is due, and grows with a backlog."""

import pytest

from outbox import batch_size, consumer
from tests.support.told import CONSUMER, states, tell


@pytest.fixture(autouse=True)
def _nothing_learned(monkeypatch, settings):
    monkeypatch.setattr(batch_size, "_learned", {})
    settings.OUTBOX = {**settings.OUTBOX, "CLAIM_BATCH_SIZE": 2, "CLAIM_BATCH_MAX_SIZE": 5}


def test_it_begins_with_the_base_size():
    assert batch_size.next_for("a") == 2


def test_a_full_claim_doubles_the_next_up_to_the_maximum():
    sizes = []
    for _ in range(4):
        sizes.append(batch_size.next_for("a"))
        batch_size.learn("a", asked=sizes[-1], claimed=sizes[-1])

    assert sizes == [2, 4, 5, 5]


def test_a_claim_that_found_less_takes_it_back_to_what_was_found():
    batch_size.learn("a", asked=5, claimed=3)
    assert batch_size.next_for("a") == 3

    batch_size.learn("a", asked=3, claimed=0)
    assert batch_size.next_for("a") == 2


def test_each_destination_learns_for_itself():
    batch_size.learn("a", asked=2, claimed=2)

    assert (batch_size.next_for("a"), batch_size.next_for("b")) == (4, 2)


@pytest.mark.django_db
def test_a_worker_takes_more_at_a_time_while_there_is_a_backlog(ledger, rings):
    for number in range(12):
        tell(str(number))

    assert [consumer.deliver(CONSUMER) for _ in range(5)] == [2, 4, 5, 1, 0]
    assert set(states().values()) == {"done"}
    assert ledger.texts == [str(number) for number in range(12)]
