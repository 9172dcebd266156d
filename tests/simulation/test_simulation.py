"""Whatever the order of steps, and whatever is lost, doubled, late or dead between any two of them: every order ends,
and every book agrees. One thread at a time against a real Postgres; clock, broker, network, chance and crashes by seed.
"""

import os
from random import Random
from types import SimpleNamespace

import pytest

from . import seeds
from .people import People

pytestmark = pytest.mark.django_db
FAST_SEEDS = range(1, 6)
SEEDS = int(os.environ.get("SIMULATION_SEEDS", "200"))
FIRST_SEED = int(os.environ.get("SIMULATION_FIRST_SEED", "1"))
CHUNK = 25
# What must have happened in every chunk of seeds, by how it begins: where nothing goes wrong nothing is proved.
MUST_HAPPEN = (
    "a process died", "a process was killed", "a process froze at work", "a connection was cut", "a transaction was",
    "a statement waited", "a ring was lost", "a ring was doubled", "a ring was delayed", "rings reordered",
    "the broker", "a provider was away", "a call: ok", "a call: l", "a call: 4", "a call: h", "operator: re",
)  # fmt: skip


@pytest.mark.parametrize("seed", FAST_SEEDS)
def test_a_seed_ends_with_every_book_in_agreement(stage, seed):
    """I1 to I14"""
    outcome = seeds.run(seed, stage)

    assert not outcome.wrong, seeds.told(outcome)


def test_one_seed_takes_the_same_steps_again(stage):
    first, second = seeds.run(7, stage), seeds.run(7, stage)

    assert first.story == second.story
    assert first.digest == second.digest
    assert len(first.story) > 30


def test_of_an_event_that_was_sent_twice_each_webhook_has_its_own_end():
    people = People(SimpleNamespace(random=Random(1), now=0.0, tell=lambda what: None))
    for _ in range(2):
        people.webhook({"id": "evt_1"})
    first, second = people.webhooks
    first |= {"tries": 1}

    people.reported(second, SimpleNamespace(crashed=False, error=None, result=(200, b"")))

    assert [hook is first for hook in people.webhooks] == [True]


@pytest.mark.proof
@pytest.mark.parametrize("first", range(FIRST_SEED, FIRST_SEED + SEEDS, CHUNK))
def test_many_seeds_end_with_every_book_in_agreement(stage, first):
    """I1 to I14"""
    happened = seeds.run_all(range(first, min(first + CHUNK, FIRST_SEED + SEEDS)), stage)

    assert [what for what in MUST_HAPPEN if not any(name.startswith(what) for name in happened)] == []


@pytest.mark.proof
def test_one_seed(stage):
    """The seed of SIMULATION_SEED, told line by line (-s)."""
    outcome = seeds.run(int(os.environ.get("SIMULATION_SEED", "1")), stage)
    print("\n".join(outcome.story))  # noqa: T201 - this is what -s is for
    print(dict(sorted(outcome.happened.items())))  # noqa: T201

    assert not outcome.wrong, seeds.told(outcome)
