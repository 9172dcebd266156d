"""The app that carries every message: outbox and inbox."""

from django.apps import AppConfig


class OutboxConfig(AppConfig):
    name = "outbox"
