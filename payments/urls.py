"""Addresses of this app: where the provider reports."""

from django.urls import path

from payments.webhooks import PaymentWebhookView

urlpatterns = [path("webhooks/payments", PaymentWebhookView.as_view(), name="payment-webhook")]
