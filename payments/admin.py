"""Payments and refunds in the admin: read-only, linked to their order and to each other; tokens are masked."""

from django.contrib import admin
from django.utils.safestring import SafeString

from outbox.masking import masked_text
from outbox.read_only_admin import ReadOnlyAdmin, amount, joined, list_link, page_link, short
from payments.models import Payment, Refund


class MoneyAdmin(ReadOnlyAdmin):
    list_filter = ("status",)
    # Each has an index of its own.
    search_fields = ("id", "order_id", "provider_key", "provider_reference")
    search_help_text = "Ids, order ids, provider keys or provider references, in full."

    @admin.display(description="order")
    def order(self, row: Payment | Refund) -> SafeString | str:
        return page_link("orders_order", row.order_id, short(row.order_id))


@admin.register(Payment)
class PaymentAdmin(MoneyAdmin):
    list_display = (
        "identity", "order", "status", "total", "captured", "refunded", "reason", "created_at",
    )  # fmt: skip
    fields = (
        "order", "status", "reason", "total", "captured", "refunded", "token",
        "provider_key", "provider_reference", "created_at", "updated_at", "sequence", "related", "id",
    )  # fmt: skip

    @admin.display(description="amount")
    def total(self, payment: Payment) -> str:
        return amount(payment.amount_minor, payment.currency)

    @admin.display(description="captured")
    def captured(self, payment: Payment) -> str:
        return amount(payment.captured_minor, payment.currency)

    @admin.display(description="refunded")
    def refunded(self, payment: Payment) -> str:
        return amount(payment.refunded_minor, payment.currency)

    @admin.display(description="payment method")
    def token(self, payment: Payment) -> str:
        return masked_text(payment.payment_method)

    @admin.display(description="related")
    def related(self, payment: Payment) -> SafeString:
        return joined(
            list_link("payments_refund", "refunds", q=payment.order_id),
            list_link("sagas_saga", "saga", q=payment.order_id),
            list_link("outbox_outboxmessage", "messages", q=payment.id),
        )


@admin.register(Refund)
class RefundAdmin(MoneyAdmin):
    list_display = ("identity", "order", "payment_page", "status", "total", "reason", "created_at")
    list_select_related = ("payment",)
    fields = (
        "order", "payment_page", "status", "reason", "total", "provider_key", "provider_reference",
        "created_at", "updated_at", "id",
    )  # fmt: skip

    @admin.display(description="amount")
    def total(self, refund: Refund) -> str:
        return amount(refund.amount_minor, refund.payment.currency)

    @admin.display(description="payment")
    def payment_page(self, refund: Refund) -> SafeString | str:
        return page_link("payments_payment", refund.payment_id, short(refund.payment_id))
