"""What the served OpenAPI schema allows and forbids, by schemathesis: no 5xx, and every success as documented."""

import random
from collections import Counter
from collections.abc import Sequence
from typing import Any
from urllib.parse import urlencode

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis.errors import Unsatisfiable
from schemathesis import GenerationMode

from orders_project.wsgi import application

from .conftest import ORDERS, Callers
from .rules import check
from .test_garbage import REQUESTS, SEED
from .wire import Answer, Request

SHARE = 0.15
SMALL = 60
ROLES = ("customer", "staff", None)
# What the schema allows of an order, and the catalogue has not: as it is, and with a product that exists.
SKUS = ("WIDGET", "GADGET")


class Tally:
    """Asks for cases until their share is reached; every answer is checked, every success against the schema."""

    def __init__(self, callers: Callers, share: int) -> None:
        self.callers = callers
        self.share = share
        self.statuses: Counter[int] = Counter()

    @property
    def is_reached(self) -> bool:
        return self.statuses.total() >= self.share

    def ask(self, case: Any) -> None:
        number = self.statuses.total()
        _meet_the_shop(case, number)
        role = ROLES[number % len(ROLES)]
        headers = {"Authorization": f"Token {self.callers.tokens[role]}"} if role else {}
        response = case.call(headers=headers)
        answer = Answer(
            status=response.status_code,
            headers={name.lower(): values[0] for name, values in response.headers.items()},
            body=response.content,
        )
        self.statuses[answer.status] += 1
        check(_request(case, headers), answer)
        if answer.status < 300 and case.method != "HEAD":
            case.operation.validate_response(response)


def _meet_the_shop(case: Any, number: int) -> None:
    """Half of the cases are about something that is there, so that successes are seen too."""
    if number % 2 or case.path_parameters is None:
        return
    if "order_id" in case.path_parameters:
        case.path_parameters["order_id"] = str(ORDERS[number % len(ORDERS)])
    items: Sequence[Any] = case.body.get("items", [case.body]) if isinstance(case.body, dict) else ()
    for place, item in enumerate(items if isinstance(items, list) else ()):
        if isinstance(item, dict) and "sku" in item:
            item["sku"] = SKUS[place % len(SKUS)]
            item.pop("unit_price", None)
            case.body["currency"] = "EUR"


def _request(case: Any, headers: dict[str, str]) -> Request:
    return Request(
        method=case.method,
        path=case.formatted_path.encode(errors="replace"),
        query=urlencode(case.query or {}, doseq=True, errors="replace").encode(),
        headers={**{str(name): str(value) for name, value in (case.headers or {}).items()}, **headers},
        body=repr(case.body).encode(errors="replace"),
    )


def _examples(operation: Any, mode: GenerationMode, tally: Tally, *, examples: int, seeded: int) -> None:
    @seed(seeded)
    @settings(
        max_examples=examples,
        deadline=None,
        database=None,
        phases=[Phase.generate, Phase.shrink],
        suppress_health_check=list(HealthCheck),
        print_blob=True,
    )
    @given(case=operation.as_strategy(generation_mode=mode))
    def run(case: Any) -> None:
        tally.ask(case)

    try:
        run()
    except Unsatisfiable:
        # Nothing is forbidden here (a path of any text).
        return


def _fuzz(callers: Callers, *, share: int) -> Counter[int]:
    schema = schemathesis.openapi.from_wsgi("/api/schema/?format=json", application)
    tally = Tally(callers, share)
    pairs = [(found.ok(), mode) for found in schema.get_all_operations() for mode in GenerationMode]
    assert len({operation.label for operation, _ in pairs}) >= 10
    examples = max(2, share // len(pairs))
    for turn in range(share):
        for operation, mode in random.Random(f"{SEED}:{turn}").sample(pairs, len(pairs)):
            if tally.is_reached:
                return tally.statuses
            _examples(operation, mode, tally, examples=examples, seeded=SEED + turn)
    return tally.statuses


def test_what_the_schema_allows_and_forbids_is_answered_as_documented(callers):
    statuses = _fuzz(callers, share=SMALL)

    assert statuses.total() >= SMALL


@pytest.mark.proof
def test_much_of_what_the_schema_allows_and_forbids_is_answered_as_documented(callers):
    """`make proof`: FUZZ_REQUESTS in all, with the garbage and those behind gunicorn."""
    share = int(REQUESTS * SHARE)

    statuses = _fuzz(callers, share=share)

    print(f"seed {SEED}: {statuses.total()} requests, {dict(sorted(statuses.items()))}")  # noqa: T201 - for whoever looks
    assert statuses.total() >= share
    assert {200, 201, 400, 401, 403, 404} <= set(statuses)
