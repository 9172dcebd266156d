"""Starts the project: logs and checks first, then every app's consumers, sagas, ticks and timeline are imported.

It does not start threads or connections: a process that forks after this starts clean.
"""

from celery import signals
from django.apps import AppConfig
from django.utils.module_loading import autodiscover_modules


class OrdersProjectConfig(AppConfig):
    name = "orders_project"

    def ready(self) -> None:
        from orders_project import (  # noqa: F401 - some are imported for their registrations
            checks,
            deploy_checks,
            logs,
            metrics_server,
            tracing,
            wiring_checks,
        )
        from outbox import heartbeat

        logs.configure()
        tracing.configure()
        # Celery's own events, not Django's signals: there is no other way to keep it from setting up its own logs.
        signals.setup_logging.connect(logs.configure_for_celery, weak=False)
        signals.worker_process_shutdown.connect(tracing.flush, weak=False)
        signals.celeryd_init.connect(checks.refuse_unsafe_configuration, weak=False)
        # Relay, workers and beat; the web process starts its own (gunicorn.conf.py).
        heartbeat.beside(metrics_server.start)
        autodiscover_modules("consumers", "sagas", "ticks", "timeline")
