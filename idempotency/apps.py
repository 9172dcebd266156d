"""The app that answers repeated HTTP requests once."""

from django.apps import AppConfig


class IdempotencyConfig(AppConfig):
    name = "idempotency"
