"""Installed by tests.failures.wild.settings, in processes that a test starts, and nowhere else."""

from django.apps import AppConfig


class WildConfig(AppConfig):
    name = "tests.failures.wild"
    label = "wild"
