"""A COMMIT at intake whose reply is lost: looked up on a fresh connection, 503 only if still unknown (I1, I2).

The real web process behind a proxy in front of Postgres. Whatever became of the COMMIT, the caller's retry with the
same key ends in exactly one order; without a key the order's own id, chosen before BEGIN, tells whether it is there.
"""

import uuid

import pytest

from idempotency.models import IdempotencyKey
from local.proxy import COMMIT, Proxy
from orders.models import Order
from outbox.models import OutboxMessage

BODY = {"sku": "WIDGET", "quantity": 1}
KEY_LOOK_UP = b"SELECT FROM idempotency_idempotencykey"


@pytest.fixture
def postgres(service):
    """The proxy between the web and Postgres; the test's own sessions go past it."""
    with Proxy.before(service.stack.environment["DATABASE_URL"]) as proxy:
        url = proxy.url(service.stack.environment["DATABASE_URL"])
        service.start("web", environment={"DATABASE_URL": url, "WEB_WORKERS": "1"})
        yield proxy


@pytest.fixture
def shop(service, postgres):
    """The service, warm: its pool is open and one order is taken, so that the next COMMIT is the next order's."""
    assert service.place(BODY).status_code == 201
    return service


def orders_placed():
    """Without the first, which warmed the service; each has its event."""
    orders = Order.objects.count() - 1
    assert OutboxMessage.objects.filter(type="order.created.v1").values("aggregate_id").distinct().count() == orders + 1
    return orders


def unknown_commits(service):
    """What the look-ups found, as the process counts it."""
    page = service.http.get(f"{service.base_url}/metrics", timeout=10).text
    lines = [line for line in page.splitlines() if line.startswith("idempotency_unknown_commits_total{")]
    return {line.split('"')[1]: float(line.rpartition(" ")[2]) for line in lines if not line.endswith(" 0.0")}


def assert_outcome_unknown(answer):
    assert answer.status_code == 503
    assert answer.headers["Content-Type"] == "application/problem+json"
    assert answer.json()["type"].endswith("/problems/outcome-unknown")
    assert int(answer.headers["Retry-After"]) >= 1


class TestLanded:
    def test_a_commit_that_landed_is_answered_as_if_nothing_had_happened(self, shop, postgres):
        """I1, I2: 201 with the stored bytes, no replay; the retry gets the same."""
        key = str(uuid.uuid4())
        postgres.cut_after(COMMIT, forwards=True)

        answer = shop.place(BODY, key=key)

        assert (answer.status_code, postgres.landed.patterns, unknown_commits(shop)) == (201, 1, {"landed": 1})
        assert "Idempotent-Replay" not in answer.headers
        again = shop.place(BODY, key=key)
        assert (again.status_code, again.content, again.headers["Idempotent-Replay"]) == (201, answer.content, "true")
        assert orders_placed() == 1

    @pytest.mark.proof
    def test_without_a_key_it_is_found_by_the_order_itself(self, shop, postgres):
        """I1: the id was chosen before BEGIN."""
        postgres.cut_after(COMMIT, forwards=True)

        answer = shop.request("POST", "/orders", json=BODY)

        assert (answer.status_code, postgres.landed.patterns) == (201, 1)
        assert Order.objects.filter(id=answer.json()["id"]).exists()
        assert (orders_placed(), IdempotencyKey.objects.count()) == (1, 1)

    @pytest.mark.proof
    def test_a_commit_that_lands_after_the_look_up_is_one_order_too(self, shop, postgres):
        """I2: absent is not rolled back; the retry waits for the first and replays its answer."""
        key = str(uuid.uuid4())
        postgres.cut_after(COMMIT, forwards=True, late_seconds=1)

        assert_outcome_unknown(shop.place(BODY, key=key))
        assert unknown_commits(shop) == {"absent": 1}
        retry = shop.place(BODY, key=key)

        assert (retry.status_code, retry.headers["Idempotent-Replay"], orders_placed()) == (201, "true", 1)


class TestNeverArrived:
    @pytest.mark.proof
    def test_the_retry_with_the_same_key_places_the_one_order(self, shop, postgres):
        """I1, I2"""
        key = str(uuid.uuid4())
        postgres.cut_after(COMMIT, forwards=False)

        assert_outcome_unknown(shop.place(BODY, key=key))
        assert (postgres.landed.patterns, unknown_commits(shop), orders_placed()) == (1, {"absent": 1}, 0)

        retry = shop.place(BODY, key=key)
        assert (retry.status_code, "Idempotent-Replay" in retry.headers, orders_placed()) == (201, False, 1)
        assert shop.place(BODY, key=key).content == retry.content
        assert orders_placed() == 1

    @pytest.mark.proof
    def test_without_a_key_it_is_a_503_and_no_order(self, shop, postgres):
        """I1: nothing is answered 201 that is not there."""
        postgres.cut_after(COMMIT, forwards=False)

        assert_outcome_unknown(shop.request("POST", "/orders", json=BODY))

        assert orders_placed() == 0


@pytest.mark.proof
class TestLookUpImpossible:
    @pytest.mark.parametrize(("forwards", "replays"), [(True, "true"), (False, None)], ids=["landed", "never-arrived"])
    def test_postgres_unreachable_is_a_503_and_a_later_retry_ends_in_one_order(self, shop, postgres, forwards, replays):
        """I1, I2: neither the COMMIT's reply nor the look-up came through; the key settles it afterwards."""
        key = str(uuid.uuid4())
        postgres.cut_after(COMMIT, forwards=forwards)
        postgres.cut_after(KEY_LOOK_UP, forwards=False, times=99)
        postgres.refuse()

        assert_outcome_unknown(shop.place(BODY, key=key))
        assert orders_placed() == int(forwards)

        postgres.heal()
        assert unknown_commits(shop) == {"unreachable": 1}
        retry = shop.place(BODY, key=key)
        assert (retry.status_code, retry.headers.get("Idempotent-Replay")) == (201, replays)
        assert shop.place(BODY, key=key).content == retry.content
        assert orders_placed() == 1

    @pytest.mark.parametrize("forwards", [True, False], ids=["landed", "never-arrived"])
    def test_without_a_key_too(self, shop, postgres, forwards):
        postgres.cut_after(COMMIT, forwards=forwards)
        postgres.cut_after(b'FROM "orders_order"', forwards=False, times=99)
        postgres.refuse()

        assert_outcome_unknown(shop.request("POST", "/orders", json=BODY))
        assert orders_placed() == int(forwards)
