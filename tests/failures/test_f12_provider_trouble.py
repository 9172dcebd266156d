"""F12: provider slow, 5xx, 429 with Retry-After, ambiguous, down, declines; webhook before the reply, often, or never:
sagas wait, do not spin; the breaker opens; no herd on healing; all resolve.
"""

from datetime import timedelta

import pytest
import requests
from django.db import connection
from django.utils import timezone

from local.process_table import NAMES
from orders.models import Order
from outbox.models import Destination
from providers import operations as providers
from providers.models import Breaker
from tests.acceptance import books
from tests.support.drive import deliver, drive, time_passes
from tests.support.provider import limits
from tests.support.sandbox import Sandbox
from tests.support.shop import attempts, message_of, outcome, saga_of, step, step_of

from .rest import assert_all_is_well

pytestmark = pytest.mark.django_db
CHARGE, SHIP = step("charge_payment"), step("create_shipment")
CALL_SLOTS = 16
REMOTE_WORKERS = 2
SLOW_SECONDS = 3.0


class TestProviderDown:
    """In one process, with a provider that counts."""

    def test_f12_an_open_breaker_starts_no_call_and_counts_no_attempt(self, shop):
        """F12"""
        order = shop.up_to("charge_payment")
        providers.open_breaker("payments", seconds=60, reason="maintenance")

        for _ in range(5):
            assert deliver(CHARGE) == [0]

        assert (shop.provider.calls, attempts(order)) == ([], {"reserve_stock": 1})
        assert message_of(order).attempts == 0
        pause = Destination.objects.get(name=CHARGE)
        # It looks again after a while: the breaker may be closed by hand.
        assert timezone.now() < pause.paused_until <= timezone.now() + timedelta(seconds=5)

        providers.close_breaker("payments", reason="done")
        limits_anew()
        drive()
        assert outcome(order) == ("confirmed", "", "completed")

    def test_f12_failures_in_a_row_open_the_breaker_and_give_their_attempts_back(self, shop, settings):
        """F12: nothing spins: one round of calls, then silence until the trial."""
        limits(settings, BREAKER_FAILURES=3, BREAKER_OPEN_SECONDS=60.0, IN_FLIGHT_HORIZON_SECONDS=0.0)
        orders = [shop.up_to("create_shipment") for _ in range(5)]
        shop.provider.always("create", "unavailable")

        for _ in range(10):
            deliver(SHIP)
            time_passes()

        assert shop.provider.asked("create") == 5
        assert {step_of(order, "create_shipment").attempts for order in orders} == {0}
        assert {outcome(order)[2] for order in orders} == {"running"}

    def test_f12_after_the_pause_one_trial_decides_and_all_resolve(self, shop, settings):
        """F12: no herd on healing."""
        limits(settings, BREAKER_FAILURES=3, BREAKER_OPEN_SECONDS=60.0, IN_FLIGHT_HORIZON_SECONDS=0.0)
        orders = [shop.up_to("create_shipment") for _ in range(5)]
        shop.provider.always("create", "unavailable")
        deliver(SHIP)
        shop.provider.always("create", "ok")
        with connection.cursor() as cursor:
            cursor.execute("UPDATE providers_breaker SET retry_at = now() - interval '1 second'")
        limits_anew()
        time_passes()
        seen = len(shop.provider.calls)
        running = []
        shop.provider.before["find"] = lambda: running.append(len(shop.provider.calls) - seen)

        drive()

        assert running[0] == 1
        assert {outcome(order) for order in orders} == {("confirmed", "", "completed")}
        assert len(shop.provider.happened("create")) == 5

    def test_f12_one_provider_down_leaves_the_other_alone(self, shop):
        """F12: queue, slots and breaker are per provider."""
        providers.open_breaker("shipping", seconds=60, reason="maintenance")
        order = shop.order()
        for _ in range(4):
            deliver("orders.start_fulfilment", step("reserve_stock"), CHARGE, SHIP)

        assert saga_of(order).current_step == "create_shipment"
        assert shop.provider.order == ["charge"]


def limits_anew():
    """A gate keeps its reading of the breaker for a quarter of a second."""
    from providers import gate

    gate.gate.cache_clear()


@pytest.mark.proof
def test_f12_during_an_outage_only_trials_call_and_after_it_one_does_before_the_others(service):
    """F12, S22: a provider down under 40 orders sees one burst, then one trial per opening; healed, one goes first."""
    patience = {"PROVIDER_BREAKER_OPEN_SECONDS": "1"}
    service.start(*NAMES, "remote-worker-2", environment=patience)
    sandbox = Sandbox(service.stack.programs["sandbox"], service.sandbox_url)
    sandbox.mood("payments", "down")
    for _ in range(40):
        assert service.place({"sku": "CABLE", "quantity": 1}).status_code == 201
    service.wait_until(lambda: trips() >= 3, within_seconds=60, what="a third opening of the breaker")
    sandbox.mood("payments", "slow")
    openings = trips()
    service.wait_until(
        lambda: answered(service)[-1][1] in {200, 201}, within_seconds=60, what="the trial that succeeds"
    )
    sandbox.mood("payments", "ok")
    assert_all_is_well(service)

    seen = [status for _, status in answered(service)]
    turned_away = seen.count(503)
    assert seen[:turned_away] == [503] * turned_away
    # What was under way in all slots when the fifth failure opened it; then one trial per further opening.
    assert turned_away <= REMOTE_WORKERS * CALL_SLOTS + openings + 1
    # The trial takes three seconds, and nobody calls before it has succeeded.
    first, second = answered(service)[turned_away : turned_away + 2]
    assert second[0] - first[0] >= SLOW_SECONDS
    # Each order was charged by one call; the ones turned away were not asked about, for nothing had happened.
    assert seen[turned_away:].count(201) == 40
    assert Order.objects.filter(status="confirmed").count() == 40
    assert sandbox.violations() == []


@pytest.mark.proof
def test_f12_slow_ambiguous_and_failing_providers_and_webhooks_of_all_kinds_end_in_the_same_books(service):
    """F12, I3, I13: a third of all calls goes wrong in some way; webhooks come before the reply, five times, never."""
    service.start(environment={"PROVIDER_IN_FLIGHT_HORIZON_SECONDS": "13"})
    sandbox = Sandbox(service.stack.programs["sandbox"], service.sandbox_url)
    rates = {"5xx": 0.08, "5xx_after": 0.08, "drop_reply": 0.08, "429": 0.04, "slow_1": 0.04}
    for provider in ("payments", "shipping"):
        sandbox.mood(provider, "flaky", **rates)
    tokens = ["tok_webhook_before", "tok_webhook_five", "tok_webhook_never", "tok_declined"]
    for number in range(24):
        body = {"sku": "CABLE", "quantity": 1, "payment_method": tokens[number % len(tokens)]}
        assert service.place(body).status_code == 201

    service.wait_until(lambda: len(statuses(service)) >= 40, within_seconds=60, what="calls that go wrong")
    for provider in ("payments", "shipping"):
        sandbox.mood(provider, "ok")
    assert_all_is_well(service)

    assert books.ends() == {"confirmed": 18, "rejected: payment_declined": 6}
    assert {0, 500} & set(statuses(service)), "nothing was ambiguous"
    assert sandbox.violations() == []


def calls(service):
    """(when, which status) of every call to the payment provider, in order; status 0 is a cut."""
    answer = requests.get(f"{service.sandbox_url}/calls", timeout=5).json()
    return [(when, status) for when, _, path, status in answer["calls"] if path.startswith("/payments/")]


def answered(service):
    """The calls since the outage began; whoever compared the books before it is not asked about here."""
    all_calls = calls(service)
    return all_calls[[status for _, status in all_calls].index(503) :]


def statuses(service):
    return [status for _, status in calls(service)]


def trips():
    """How often in a row the payments' breaker has opened, trials that failed included."""
    return sum(Breaker.objects.filter(provider="payments").values_list("trips", flat=True))
