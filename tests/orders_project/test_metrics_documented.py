"""Every metric of the code is a row of docs/metrics.md, every row is a metric, and no label holds an id."""

import re
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path

import pytest
from django.apps import apps
from django.conf import settings
from django.utils.module_loading import module_has_submodule
from prometheus_client import Metric
from prometheus_client.metrics import MetricWrapperBase

from orders_project.metrics import _collectors

_ROW = re.compile(r"^\| `(?P<name>[a-z_]+)(?:\{(?P<labels>[a-z_,]+)\})?` \| (?P<kind>counter|gauge|histogram) \|", re.M)
_SUFFIXES = {"counter": "_total", "gauge": "", "histogram": ""}


def _modules() -> Iterator[object]:
    for config in apps.get_app_configs():
        if module_has_submodule(config.module, "telemetry") and Path(config.path).parent == Path(settings.BASE_DIR):
            yield import_module(f"{config.name}.telemetry")


def _counted() -> Iterator[tuple[str, str, tuple[str, ...]]]:
    for module in _modules():
        for metric in vars(module).values():
            if isinstance(metric, MetricWrapperBase):
                kind = str(metric._type)
                yield metric._name + _SUFFIXES[kind], kind, tuple(metric._labelnames)


def _collected() -> Iterator[Metric]:
    for _, collect in _collectors():
        yield from collect()


def documented() -> dict[str, tuple[str, tuple[str, ...]]]:
    page = (Path(settings.BASE_DIR) / "docs" / "metrics.md").read_text()
    return {
        row["name"]: (row["kind"], tuple((row["labels"] or "").split(",")) if row["labels"] else ())
        for row in _ROW.finditer(page)
    }


@pytest.mark.django_db
def test_every_metric_is_documented_with_its_kind_and_labels():
    counted = {name: (kind, labels) for name, kind, labels in _counted()}
    collected = {metric.name: (metric.type, tuple(getattr(metric, "_labelnames", ()))) for metric in _collected()}
    assert {**counted, **collected} == documented()


def test_no_label_holds_an_id():
    labels = {label for _, labels in documented().values() for label in labels}
    assert not {label for label in labels if label == "id" or label.endswith(("_id", "user", "key", "path"))}
