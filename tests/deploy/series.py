"""Which series Prometheus may know of us: docs/metrics.md, which another test holds against the registry."""

from tests.orders_project.test_metrics_documented import documented

SUFFIXES = {"counter": ("",), "gauge": ("",), "histogram": ("_bucket", "_count", "_sum")}


def known_series() -> set[str]:
    return {name + suffix for name, (kind, _) in documented().items() for suffix in SUFFIXES[kind]}


def known_labels(series: set[str]) -> set[str]:
    """The labels of these series."""
    return {
        label
        for name, (kind, labels) in documented().items()
        if series & {name + suffix for suffix in SUFFIXES[kind]}
        for label in (*labels, *(("le",) if kind == "histogram" else ()))
    }
