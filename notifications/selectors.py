"""Reads: what a customer was told of an order, or is about to be."""

from uuid import UUID

from .models import Notification


def of_order(order_id: UUID) -> list[Notification]:
    """In the order in which it was noted. Index one_notification_per_order_and_kind."""
    return list(Notification.objects.filter(order_id=order_id).order_by("noted_at", "pk"))
