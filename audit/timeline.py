"""What the audit knows of one order: where its books and a provider's differed, and which repairs were asked for.

Found by autodiscovery; the order's timeline asks for it. Not guaranteed: differences that name no order of ours.
"""

from collections.abc import Sequence
from typing import Any, Final
from uuid import UUID

from orders.timeline import register
from orders.timeline_entries import Entry, Kind, Row

from .models import Difference

# A charge, a parcel and what undoes them: each differs in a few ways, if at all.
DIFFERENCES_MAX: Final = 50


@register
def differences_of(order_id: UUID) -> Sequence[Entry]:
    """Oldest first. Index difference_by_order."""
    rows = Difference.objects.filter(order_id=order_id).order_by("pk")[:DIFFERENCES_MAX]
    return [_entry(row) for row in rows]


def _entry(row: Difference) -> Entry:
    facts: dict[str, Any] = {"provider": row.provider, "ours": _status(row.ours), "theirs": _status(row.theirs)}
    if row.repair_asked_at:
        facts |= {"repair": row.repair, "repair_asked_at": row.repair_asked_at}
    if row.resolution:
        facts["resolution"] = row.resolution
    return Entry(
        kind=Kind.DIFFERENCE,
        name=f"{row.object} {row.kind}",
        status=row.state,
        began_at=row.first_seen_at,
        ended_at=row.ended_at,
        attempts=row.repairs,
        facts=facts,
        row=Row(table="audit_difference", id=str(row.pk)),
    )


def _status(side: dict[str, Any] | None) -> str:
    return str(side["status"]) if side else "nothing"
