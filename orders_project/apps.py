"""Starts the project: logs first, then every app's consumers, sagas and ticks are imported, so that they are known.

It does not start threads or connections: a process that forks after this starts clean.
"""

from django.apps import AppConfig
from django.utils.module_loading import autodiscover_modules


class OrdersProjectConfig(AppConfig):
    name = "orders_project"

    def ready(self) -> None:
        from orders_project import logs

        logs.configure()
        autodiscover_modules("consumers", "sagas", "ticks")
