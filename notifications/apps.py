"""The app that tells customers how their orders ended."""

from django.apps import AppConfig


class NotificationsConfig(AppConfig):
    name = "notifications"
