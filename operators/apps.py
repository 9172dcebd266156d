"""The operators' pages over all apps at once. No models: each app tells its own figures, in its `live.py`."""

from django.apps import AppConfig


class OperatorsConfig(AppConfig):
    name = "operators"
