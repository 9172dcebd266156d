"""The app that judges all others by their rows; nobody imports it."""

from django.apps import AppConfig


class AuditConfig(AppConfig):
    name = "audit"
