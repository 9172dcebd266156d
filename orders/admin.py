"""Orders for operators: read-only, with links to everything that carries the order's id."""

from collections.abc import Mapping, Sequence

from django.contrib import admin
from django.contrib.admin.utils import unquote
from django.contrib.auth.models import User
from django.core.exceptions import PermissionDenied
from django.db.models import Q
from django.http import Http404, HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.urls import path
from django.urls.resolvers import URLPattern
from django.utils.safestring import SafeString

from outbox.masking import masked_text
from outbox.read_only_admin import ReadOnlyAdmin, amount, joined, list_link
from sagas import selectors as sagas

from . import timeline
from .models import Order, OrderLine
from .selectors import FULFILMENT
from .timeline_page import page_of

# The colours of the timeline and what they say; docs/operations.md explains them.
TONES = (
    ("done", "done"), ("undone", "undone"), ("running", "under way"), ("waiting", "tried again"), ("failed", "failed"),
    ("plain", "happened"),
)  # fmt: skip
ENDS = {Order.Status.CONFIRMED: "done", Order.Status.REJECTED: "failed", Order.Status.CANCELLED: "undone"}

# Changelists of the other apps, each searched by the order's id; by name only, for their models are their own.
RELATED = (
    ("saga", "sagas_saga"),
    ("payments", "payments_payment"),
    ("refunds", "payments_refund"),
    ("shipments", "shipping_shipment"),
    ("stock", "inventory_reservation"),
    ("messages", "outbox_outboxmessage"),
    ("notifications", "notifications_notification"),
    ("differences", "audit_difference"),
)


class LineInline(admin.TabularInline):
    model = OrderLine
    extra = 0
    can_delete = False
    max_num = 0
    fields = readonly_fields = ("sku", "quantity", "unit_price", "line_total")

    @admin.display(description="unit price")
    def unit_price(self, line: OrderLine) -> str:
        return amount(line.unit_price_minor, line.order.currency)

    @admin.display(description="total")
    def line_total(self, line: OrderLine) -> str:
        return amount(line.line_total_minor, line.order.currency)


@admin.register(Order)
class OrderAdmin(ReadOnlyAdmin):
    list_display = ("identity", "customer", "status", "reason", "total", "placed_at", "ended_at")
    list_filter = ("status", "placed_at")
    list_select_related = ("customer",)
    # Indexes: the primary key, orders_of_a_customer.
    search_fields = ("id",)
    search_help_text = "Order ids or user names, in full."
    fields = (
        "id", "customer", "status", "saga", "reason", "total", "token", "placed_at", "cancel_requested_at", "ended_at",
        "sequence", "related",
    )  # fmt: skip
    inlines = (LineInline,)

    def get_urls(self) -> list[URLPattern]:
        page = self.admin_site.admin_view(self.timeline_view)
        return [path("<path:object_id>/timeline/", page, name="orders_order_timeline"), *super().get_urls()]

    def timeline_view(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """One order's whole story, drawn; for whoever may look at orders, and of other tables what they may look at."""
        order = self.get_object(request, unquote(object_id))
        if not self.has_view_permission(request, order):
            raise PermissionDenied
        if order is None:
            raise Http404
        told = timeline.read(order)
        context = {
            **self.admin_site.each_context(request),
            "title": f"Timeline of order {order.pk}",
            "opts": self.opts,
            "order": order,
            "page": page_of(told, request.user),
            "tone": "failed" if told.waits_for_a_person else ENDS.get(Order.Status(order.status), "running"),
            "tones": TONES,
        }
        return TemplateResponse(request, "admin/orders/order/timeline.html", context)

    def filters_by_index(self, chosen: Mapping[str, str]) -> bool:
        # An index on the status would make every order's end cost more; its saga's lists have theirs.
        return not chosen

    def search(self, words: Sequence[str]) -> Q:
        """By ids, and by names of customers: looked up first, for a search across the two tables has no index."""
        customers = User.objects.filter(username__in=words).values_list("pk", flat=True)
        return super().search(words) | Q(customer_id__in=list(customers))

    @admin.display(description="total")
    def total(self, order: Order) -> str:
        return amount(order.total_minor, order.currency)

    @admin.display(description="saga")
    def saga(self, order: Order) -> SafeString | str:
        """Where the order's process stands; a pending order whose saga needs a person says so here."""
        if progress := sagas.progress(FULFILMENT, [order.id]).get(order.id):
            text = f"{progress.status.replace('_', ' ')}, {progress.direction}, at {progress.step}"
            return list_link("sagas_saga", text, q=order.id)
        return "none"

    @admin.display(description="payment method")
    def token(self, order: Order) -> str:
        return masked_text(order.payment_method)

    @admin.display(description="related")
    def related(self, order: Order) -> SafeString:
        return joined(*(list_link(page, label, q=order.id) for label, page in RELATED))
