"""Health for probes: live says "this process answers", ready says "this process can take orders".

Guarantee: ready depends on Postgres and its migrations only, so a broker outage never takes the web out of service.
Apps' own figures (`<app>/health.py`: `measure()`) are told beside it and decide nothing. It does not guarantee that
the figures are younger than `FIGURES_LIFETIME_SECONDS`.
"""

import time
from collections.abc import Callable, Iterator, Mapping
from importlib import import_module
from typing import Any

import structlog
from django.apps import apps
from django.db import DatabaseError, InterfaceError, connection
from django.db.migrations.executor import MigrationExecutor
from django.http import HttpRequest, JsonResponse
from django.utils.module_loading import module_has_submodule
from django.views.decorators.http import require_safe

logger = structlog.get_logger(__name__)

# Probes come every few seconds from several places; the figures cost queries.
FIGURES_LIFETIME_SECONDS = 5.0

Measure = Callable[[], Mapping[str, Any]]


class Readiness:
    """Remembers what cannot become untrue again in this process: that the migrations it needs are applied."""

    def __init__(self) -> None:
        self._migrated = False
        self._figures: dict[str, Any] = {}
        self._figures_until = 0.0

    def hindrance(self) -> str | None:
        """What keeps this process from taking orders, in two words; None when nothing does."""
        try:
            with connection.cursor() as cursor:
                cursor.execute("SELECT 1")
            self._migrated = self._migrated or not _unapplied_migrations()
        except (DatabaseError, InterfaceError) as error:
            logger.warning("not_ready", error=str(error))
            return "database unreachable"
        return None if self._migrated else "migrations missing"

    def figures(self) -> dict[str, Any]:
        """What each app says of itself, at most a few seconds old."""
        if time.monotonic() >= self._figures_until:
            self._figures = {label: _measured(label, measure) for label, measure in _measures()}
            self._figures_until = time.monotonic() + FIGURES_LIFETIME_SECONDS
        return self._figures


readiness = Readiness()


@require_safe
def live(request: HttpRequest) -> JsonResponse:
    return JsonResponse({"status": "ok"})


@require_safe
def ready(request: HttpRequest) -> JsonResponse:
    hindrance = readiness.hindrance()
    if hindrance is not None:
        return JsonResponse({"status": "unavailable", "reason": hindrance}, status=503, headers={"Retry-After": "1"})
    return JsonResponse({"status": "ok", **readiness.figures()}, json_dumps_params={"default": str})


def _unapplied_migrations() -> bool:
    executor = MigrationExecutor(connection)
    return bool(executor.migration_plan(executor.loader.graph.leaf_nodes()))


def _measures() -> Iterator[tuple[str, Measure]]:
    """Every app's `health.measure`; apps without one have nothing to say."""
    for config in apps.get_app_configs():
        if config.name != "orders_project" and module_has_submodule(config.module, "health"):
            measure = getattr(import_module(f"{config.name}.health"), "measure", None)
            if measure is not None:
                yield config.label, measure


def _measured(label: str, measure: Measure) -> Mapping[str, Any] | str:
    try:
        return measure()
    except Exception:
        # Information only: a probe must not fail because a figure could not be read.
        logger.exception("health_measure_failed", app=label)
        return "unknown"
