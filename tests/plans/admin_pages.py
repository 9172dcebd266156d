"""Every list of the admin with its filters, its search and a page far down, and a row's page of each.

Guarantee: a list that is registered stands here, and so does each filter that it offers (test_plans.py).
"""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from urllib.parse import quote

from django.contrib import admin
from django.contrib.auth.models import Group
from django.db.models import Model

from outbox.error_text import fingerprint_of
from outbox.models import OutboxMessage

from . import grown

FAR_DOWN = "p=100"
LAST_WITHIN_SMALL_BOUNDS = "p=200"
NOBODYS = "0197c2a4-0000-7000-8000-000000000000"
NEWEST = "<newest>"


def _ago(days: int) -> str:
    return quote(f"{datetime.now(UTC).date() - timedelta(days=days)} 00:00:00+00:00")


def _each(name: str, *values: str) -> list[str]:
    return [f"{name}={value}" for value in values]


def _list(*queries: str) -> Sequence[str]:
    return ["", *queries, FAR_DOWN]


# A few rows, whatever the service does: per destination, per process, per provider, per kind of person.
SMALL: Mapping[str, Sequence[str]] = {
    "outbox/destination": ["", "q=grown.destination_1"],
    "outbox/heartbeat": ["", "kind=relay"],
    "providers/breaker": [""],
    "auth/group": ["", "q=operator"],
}
LISTS: Mapping[str, Sequence[str]] = {
    "outbox/outboxmessage": _list(
        *_each("state__exact", *OutboxMessage.State.values),
        "stuck=true",
        *_each("reading", "due", "running", "scheduled", "parked", "backing_off"),
        *_each("destination", grown.DESTINATION, grown.RARE, "grown.destination_1"),
        f"destination={grown.RARE}&state__exact=dead",
        f"q={NOBODYS}",
    ),
    "outbox/inboxentry": _list("consumer=rare.consumer", f"q={'0' * 32}"),
    "outbox/deadletter": ["", f"destination={grown.DESTINATION}&type=grown.told.v1"],
    "outbox/operatoract": _list(
        *_each("verb", "requeue", "resolve", "edit"),
        *_each("target_type", "outboxmessage", "difference", "saga"),
        f"target_type=saga&target_id={NOBODYS}",
        *_each("q", "customer-2", "customer-3", f"{NOBODYS}+customer-2", "nobody"),
    ),
    "outbox/proposal": _list(
        *_each("state__exact", "open", "approved", "declined", "expired"), *_each("q", NOBODYS, "customer-2", "nobody")
    ),
    "outbox/requeueorder": _list(*_each("status__exact", "open", "paused", "done", "cancelled")),
    "sagas/saga": _list(
        *_each("status__exact", "running", "needs_attention", "completed", "compensated"),
        *_each("direction__exact", "forward", "backward"),
        "stuck=true",
        *(f"step=create_shipment{more}" for more in ("", "&status__exact=running", "&status__exact=needs_attention")),
        f"q={NOBODYS}",
    ),
    "orders/order": _list(
        *_each("status__exact", "pending", "confirmed", "rejected", "cancelled"),
        f"placed_at__gte={_ago(3)}",
        f"placed_at__gte={_ago(300)}&status__exact=cancelled",
        *_each("q", NOBODYS, "customer-7"),
    ),
    "payments/payment": _list(
        *_each("status__exact", "pending", "unknown", "captured", "declined", "absent", "late", "refunded"),
        *_each("q", NOBODYS, "charge-7", "charge-7+ch_8"),
    ),
    "payments/refund": _list(
        *_each("status__exact", "pending", "unknown", "refunded", "refused"),
        *_each("q", NOBODYS, "refund-7", "refund-7+re_8"),
    ),
    "shipping/shipment": _list(
        *_each("status__exact", "pending", "unknown", "created", "refused", "absent", "late", "cancelled"),
        *_each("q", NOBODYS, "TRACK7", "shipment-7+sh_8+TRACK9"),
    ),
    "shipping/cancellation": _list(
        *_each("status__exact", "pending", "unknown", "cancelled", "refused"),
        *_each("q", NOBODYS, "cancellation-7", "cancellation-7+cancellation-8"),
    ),
    "inventory/product": _list(*_each("active__exact", "0", "1"), *_each("q", "SKU-000000007", "none")),
    "inventory/stockitem": _list(*_each("available", "none", "some"), *_each("q", "SKU-000000007", "none")),
    "inventory/reservation": _list(*_each("state__exact", "reserved", "committed", "released"), f"q={NOBODYS}"),
    "notifications/notification": _list(
        *_each("status__exact", "pending", "sent", "refused"),
        *_each("kind__exact", "confirmed", "rejected", "cancelled", "refunded"),
        "kind__exact=refunded&status__exact=sent",
        f"q={NOBODYS}",
    ),
    "audit/difference": _list(
        *_each("state__exact", "open", "repaired", "vanished", "resolved"),
        *_each("kind__exact", "ours_only", "amount", "state"),
        *_each("object__exact", "charge", "refund", "shipment"),
        "state__exact=open&kind__exact=amount",
        *_each("q", NOBODYS, "charge-7", f"{NOBODYS}+charge-7"),
    ),
    "idempotency/idempotencykey": _list(*_each("q", "customer-7+key-7", NOBODYS, "key-7")),
    "auth/user": _list("group=<group>", *_each("q", "customer-7", "nobody")),
}
# Lists whose rows have no page of their own.
LISTS_ONLY = {"outbox/deadletter"}
DEAD_LETTERS = [
    f"/admin/outbox/deadletter/group/{fingerprint_of('')}/",
    "/admin/outbox/deadletter/requeue/",
    "/admin/outbox/deadletter/waiting/",
]
ALL = [
    *(f"/admin/{page}/?{query}" for page, queries in {**LISTS, **SMALL}.items() for query in queries),
    *(f"/admin/{page}/{NEWEST}/change/" for page in LISTS if page not in LISTS_ONLY),
    f"/admin/orders/order/{NEWEST}/timeline/",
    *DEAD_LETTERS,
]
# Enough for each commit: what is rare in each list and so found last, its search, its last page within small bounds,
# and the pages that list other rows.
RARE = [
    "outbox/outboxmessage/?state__exact=skipped",
    f"outbox/outboxmessage/?destination={grown.RARE}",
    "outbox/operatoract/?verb=resolve",
    "outbox/operatoract/?target_type=difference",
    "outbox/proposal/?state__exact=declined",
    "outbox/requeueorder/?status__exact=cancelled",
    "sagas/saga/?status__exact=compensated",
    "orders/order/?status__exact=cancelled",
    "payments/payment/?status__exact=absent",
    "payments/refund/?status__exact=refused",
    "shipping/shipment/?status__exact=refused",
    "shipping/cancellation/?status__exact=refused",
    "inventory/product/?active__exact=0",
    "inventory/stockitem/?available=none",
    "inventory/reservation/?state__exact=released",
    "notifications/notification/?kind__exact=refunded",
    "audit/difference/?state__exact=resolved",
    "auth/user/?group=<group>",
    "auth/user/?p=20",
]
QUICK = [
    *(f"/admin/{address}" for address in RARE),
    *(f"/admin/{page}/?{LAST_WITHIN_SMALL_BOUNDS}" for page in LISTS if page not in {*LISTS_ONLY, "auth/user"}),
    *(f"/admin/{page}/?{queries[-2]}" for page, queries in LISTS.items() if queries[-2].startswith("q=")),
    *(f"/admin/{page}/{NEWEST}/change/" for page in ("orders/order", "sagas/saga", "outbox/outboxmessage")),
    *DEAD_LETTERS,
]


def is_small(address: str) -> bool:
    return address.startswith(tuple(f"/admin/{page}/" for page in SMALL))


def registered() -> dict[str, type[Model]]:
    """The pages that the admin has, with their models."""
    return {f"{model._meta.app_label}/{model._meta.model_name}": model for model in admin.site._registry}


def address_of(name: str) -> str:
    """The address with the rows named that stand there by description."""
    if NEWEST in name:
        _, _, app, model, *_ = name.split("/")
        newest = registered()[f"{app}/{model}"]._default_manager.order_by("-pk").values_list("pk", flat=True)
        name = name.replace(NEWEST, quote(str(newest[0])))
    if "<group>" in name:
        name = name.replace("<group>", str(Group.objects.get(name="grown").pk))
    return name
