"""Where an aggregate is looked at: its page in the admin, by name only. The outbox knows no domain."""

from django.utils.html import format_html
from django.utils.safestring import SafeString

from .read_only_admin import list_link, page_link, short

PAGES = {
    "order": "orders_order",
    "payment": "payments_payment",
    "shipment": "shipping_shipment",
    "saga": "sagas_saga",
    "message": "outbox_outboxmessage",
}
LISTS = {"reservation": "inventory_reservation"}


def aggregate_link(aggregate_type: str, aggregate_id: object) -> SafeString | str:
    """An aggregate as a cell shows it, linked to its page where some app has one."""
    text = format_html("{} {}", aggregate_type, short(aggregate_id))
    if page := PAGES.get(aggregate_type):
        return page_link(page, aggregate_id, text)
    if rows := LISTS.get(aggregate_type):
        return list_link(rows, text, q=aggregate_id)
    return text
