"""Health: live says "this process answers", ready "this process can take orders", details tell staff about the rest.

Guarantee: ready depends on Postgres and its migrations only, so a broker outage never takes the web out of service.
Apps' own figures (`<app>/health.py`: `measure()`, for staff `details()`) are told beside it and decide nothing; one
that cannot be read is "unknown". It does not guarantee that the figures of a probe are younger than
`FIGURES_LIFETIME_SECONDS`.
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
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import extend_schema
from rest_framework.permissions import IsAdminUser
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

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
            self._figures = {label: _measured(label, measure) for label, measure in _told_by("measure")}
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


class HealthDetails(APIView):
    """What each part of the service says of itself. 200 whatever it says: staff read it, no probe does."""

    permission_classes = (IsAdminUser,)

    @extend_schema(
        operation_id="health_details",
        summary="Lag, processes, ticks, brokers, breakers, sagas and the last audit (staff)",
        responses=OpenApiTypes.OBJECT,
    )
    def get(self, request: Request) -> Response:
        return Response({label: _measured(label, details) for label, details in _told_by("details")})


def _unapplied_migrations() -> bool:
    executor = MigrationExecutor(connection)
    return bool(executor.migration_plan(executor.loader.graph.leaf_nodes()))


def _told_by(name: str) -> Iterator[tuple[str, Measure]]:
    """Every app's function of this name in its `health`; apps without one have nothing to say."""
    for config in apps.get_app_configs():
        if config.name != "orders_project" and module_has_submodule(config.module, "health"):
            measure = getattr(import_module(f"{config.name}.health"), name, None)
            if measure is not None:
                yield config.label, measure


def _measured(label: str, measure: Measure) -> Mapping[str, Any] | str:
    try:
        return measure()
    except Exception:
        # Information only: a probe must not fail because a figure could not be read.
        logger.exception("health_measure_failed", app=label)
        return "unknown"
