"""The app that judges all others by their rows; nobody imports it."""

from django.apps import AppConfig


class AuditConfig(AppConfig):
    name = "audit"

    def ready(self) -> None:
        from audit import system_checks  # noqa: F401 - imported for what it registers
