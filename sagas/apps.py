"""The app that runs sagas; it knows steps, never what they do."""

from django.apps import AppConfig


class SagasConfig(AppConfig):
    name = "sagas"
