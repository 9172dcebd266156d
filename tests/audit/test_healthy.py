"""A service that kept its promises has no violation, whatever way its orders ended."""

import pytest

from audit.report import audit_now

pytestmark = pytest.mark.django_db


def found(*, at_rest=True, since=None):
    report = audit_now(at_rest=at_rest, with_ledgers=False, since=since)
    return [(violation.promise, violation.check, violation.rows) for violation in report.violations]


def test_no_order_is_no_violation():
    assert found() == []


def test_a_confirmed_order_is_no_violation(shop):
    shop.driven()

    assert found() == []
