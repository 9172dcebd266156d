"""The address of idempotency keys."""

from django.urls import path

from .views import IdempotencyKeyView

urlpatterns = [
    # A key may hold slashes.
    path("idempotency-keys/<path:key>", IdempotencyKeyView.as_view(), name="idempotency-key"),
]
