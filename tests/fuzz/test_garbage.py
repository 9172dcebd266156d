"""Garbage to every route: never a 5xx, every error a documented problem (docs/problems.md)."""

import os
from collections import Counter

import pytest

from .conftest import Callers
from .requests import Maker, routes
from .rules import Broken, check
from .wire import send

SEED = int(os.environ.get("FUZZ_SEED", "1"))
REQUESTS = int(os.environ.get("FUZZ_REQUESTS", "20000"))
# Of all requests: these, those of the schema, and those behind a server.
SHARE = 0.8
PARTS = 2
SMALL = 250
# Enough to tell one mistake from many.
BROKEN_MAX = 10


def ask(callers: Callers, *, seed: int, requests: int) -> Counter[int]:
    """How many answers of each status; says how to send a request again whose answer is broken."""
    maker = Maker(seed, callers)
    only = os.environ.get("FUZZ_ONLY")
    statuses: Counter[int] = Counter()
    broken: list[str] = []
    for number in [int(only)] if only else range(requests):
        request = maker.make(number)
        try:
            answer = send(request)
            check(request, answer)
        except Exception as error:  # noqa: BLE001 - what escapes from the application is what is looked for
            broken.append(f"{type(error).__name__}: {error}\n  {request}\n  again: FUZZ_SEED={seed} FUZZ_ONLY={number}")
            if len(broken) == BROKEN_MAX:
                break
        else:
            statuses[answer.status] += 1
    if broken:
        again = "again: with these variables, make test ARGS='-k garbage_to_every_route'"
        raise Broken("\n".join([f"{len(broken)} answers are broken", *broken, again]))
    return statuses


def test_every_route_of_the_url_configuration_is_asked_for():
    found = routes()

    assert {"orders", "orders/<uuid:order_id>/cancel", "webhooks/payments", "api/auth-token/", "metrics"} <= set(found)
    assert len(found) > 40


def test_a_request_can_be_made_again(callers):
    first, second = (Maker(7, callers) for _ in range(2))
    made = [first.make(number) for number in range(50)]

    assert [str(one) for one in made] == [str(second.make(number)) for number in range(50)]


def test_garbage_to_every_route_is_never_a_5xx(callers):
    statuses = ask(callers, seed=SEED, requests=SMALL)

    assert statuses.total() == (1 if os.environ.get("FUZZ_ONLY") else SMALL)


@pytest.mark.proof
@pytest.mark.parametrize("part", range(PARTS))
def test_much_garbage_to_every_route_is_never_a_5xx(callers, part):
    """`make proof`: with the schema's own and those behind gunicorn, FUZZ_REQUESTS in all."""
    share = int(REQUESTS * SHARE / PARTS)

    statuses = ask(callers, seed=SEED + 1 + part, requests=share)

    print(f"seed {SEED + 1 + part}: {share} requests, {dict(sorted(statuses.items()))}")  # noqa: T201 - for whoever looks
    assert statuses.total() == share
    assert {200, 201, 202, 400, 401, 403, 404, 405, 409, 413, 415, 422} <= set(statuses)
