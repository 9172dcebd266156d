"""The end of a test with real processes: everything comes to rest, and the audit finds every book in order."""

from tests.acceptance import books
from tests.support import webhooks
from tests.support.service import Service

REST_SECONDS = 120


def assert_all_is_well(service: Service, *, within_seconds: float = REST_SECONDS) -> None:
    """Waits until every order has ended and no message is open; then nothing may be wrong anywhere."""
    come_to_rest(service, within_seconds=within_seconds)
    violations = service.audit()
    assert violations == [], violations


def come_to_rest(service: Service, *, within_seconds: float = REST_SECONDS) -> None:
    service.wait_until(
        lambda: books.still_under_way() == 0, within_seconds=within_seconds, what="the end of every order"
    )
    # In this order: no charge comes after the orders' end, and what a webhook told is a message once it was received.
    service.wait_until(
        lambda: webhooks.under_way(service.sandbox_url) == 0, within_seconds=REST_SECONDS, what="the last webhook"
    )
    service.wait_until(lambda: books.open_messages() == 0, within_seconds=REST_SECONDS, what="rest in the outbox")
