"""`/metrics` for Prometheus: what all processes counted, and what one query per app finds in Postgres right now.

Guarantee: with `PROMETHEUS_MULTIPROC_DIR` set (outside Python) the counters of every process of this machine are
added up, and the gauges of those that ended are forgotten; backlog figures are read at scrape time, so they are right
even when every worker is dead; a database that is away costs those figures only. It does not guarantee counters of
other machines: each is scraped by itself.
"""

import os
import re
import secrets
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from importlib import import_module
from ipaddress import ip_address
from pathlib import Path

import structlog
from django.apps import apps
from django.conf import settings
from django.core.exceptions import PermissionDenied
from django.db import InterfaceError, OperationalError
from django.http import HttpRequest, HttpResponse
from django.utils.module_loading import module_has_submodule
from django.views.decorators.http import require_safe
from prometheus_client import CONTENT_TYPE_PLAIN_0_0_4, REGISTRY, CollectorRegistry, Metric, generate_latest
from prometheus_client.multiprocess import MultiProcessCollector, mark_process_dead
from prometheus_client.registry import Collector

from orders_project.telemetry import METRICS_COLLECTION_FAILURES

logger = structlog.get_logger(__name__)

DIRECTORY_VARIABLE = "PROMETHEUS_MULTIPROC_DIR"
# As the library names the files of gauges that are true only while their process lives.
_LIVE_GAUGES = re.compile(r"gauge_live\w*_(\d+)\.db")
# A request that came through a proxy is not a neighbour's, though the proxy itself may stand on loopback.
_FORWARDED = ("HTTP_FORWARDED", "HTTP_X_FORWARDED_FOR", "HTTP_X_REAL_IP")

Collect = Callable[[], Iterable[Metric]]


class BacklogCollector(Collector):
    """Asks each app's `telemetry.collect()`; one that fails is counted and left out."""

    def collect(self) -> Iterator[Metric]:
        is_away = False
        for label, collect in _collectors():
            # Begins at 0: to an alert a series that appears with its first count has not risen.
            failures = METRICS_COLLECTION_FAILURES.labels(label)
            if is_away:
                failures.inc()
                continue
            try:
                yield from list(collect())
            except Exception as error:
                logger.exception("metrics_collection_failed", app=label)
                failures.inc()
                # Every app would wait as long for a connection, and the scraper would have given up long before.
                is_away = _is_unreachable(error)


@require_safe
def scrape(request: HttpRequest) -> HttpResponse:
    if not _is_allowed(request):
        raise PermissionDenied
    return HttpResponse(exposition(), content_type=CONTENT_TYPE_PLAIN_0_0_4)


def exposition() -> bytes:
    """Backlog first: a failure to read it is then counted in the same scrape."""
    backlog = CollectorRegistry(auto_describe=False)
    backlog.register(BacklogCollector())
    figures = generate_latest(backlog)
    forget_ended()
    return generate_latest(_processes()) + figures


def counted() -> Iterable[Metric]:
    """What the processes of this machine have counted; asks no database."""
    return _processes().collect()


def forget_ended() -> None:
    """Forgets every process of this machine that is gone, however it went: nobody is told of a SIGKILL."""
    directory = os.environ.get(DIRECTORY_VARIABLE)
    for path in Path(directory).glob("gauge_live*.db") if directory else ():
        named = _LIVE_GAUGES.fullmatch(path.name)
        if named and not _is_alive(int(named[1])):
            forget_process(int(named[1]))


def forget_process(pid: int) -> None:
    """A process has ended: its gauges are no longer true. Its counters stay, what was counted has happened."""
    if os.environ.get(DIRECTORY_VARIABLE):
        with suppress(FileNotFoundError):  # another scrape was quicker
            mark_process_dead(pid)  # type: ignore[no-untyped-call]  # the library is typed in part


def _processes() -> CollectorRegistry:
    if not os.environ.get(DIRECTORY_VARIABLE):
        return REGISTRY
    registry = CollectorRegistry()
    MultiProcessCollector(registry)  # type: ignore[no-untyped-call]  # as above
    return registry


def _collectors() -> Iterator[tuple[str, Collect]]:
    for config in apps.get_app_configs():
        if module_has_submodule(config.module, "telemetry"):
            collect = getattr(import_module(f"{config.name}.telemetry"), "collect", None)
            if collect is not None:
                yield config.label, collect


def _is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def _is_unreachable(error: Exception) -> bool:
    """An error of the database that no server sent."""
    is_connection = isinstance(error, (OperationalError, InterfaceError))
    return is_connection and getattr(error.__cause__, "sqlstate", None) is None


def _is_allowed(request: HttpRequest) -> bool:
    if settings.METRICS_TOKEN:
        given = request.headers.get("Authorization", "")
        return secrets.compare_digest(given.encode(), f"Bearer {settings.METRICS_TOKEN}".encode())
    return _is_loopback(request.META.get("REMOTE_ADDR", "")) and not any(name in request.META for name in _FORWARDED)


def _is_loopback(address: str) -> bool:
    try:
        return ip_address(address).is_loopback
    except ValueError:
        return False
