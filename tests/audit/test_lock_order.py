"""Repairs of one slice lock their sagas and orders in one order, whatever order the provider lists them in."""

from uuid import UUID

import pytest

from audit import reconciliation
from audit.books import book
from audit.comparison import Difference, Judgement
from audit.models import Difference as Kept

pytestmark = pytest.mark.django_db


def judged(number):
    return Judgement(
        key=f"k{number}",
        difference=Difference(
            provider="payments",
            object="charge",
            kind=Kept.Kind.THEIRS_ONLY,
            provider_key=f"k{number}",
            provider_reference="",
            order_id=UUID(int=number) if number else None,
            row_id=None,
            ours=None,
            theirs=None,
        ),
    )


def test_repairs_are_asked_for_by_order(monkeypatch):
    asked = []
    monkeypatch.setattr(reconciliation.repairs, "is_due", lambda row, *, wait: True)
    monkeypatch.setattr(
        reconciliation.repairs, "ask", lambda difference: asked.append(difference.provider_key) or Kept.Repair.NONE
    )
    agreed = Judgement(key="agreed")
    reconciliation.store([judged(3), judged(1), agreed, judged(2)], of=book("charge"))
    assert asked == ["k1", "k2", "k3"]
