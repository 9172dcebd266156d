"""The service's own settings with what the benchmarks compare it to: a saga, a bare chain, a bare view.

Everything else is as deployed (DEBUG off, durable Postgres). Nothing deployed imports this.
"""

import os

from orders_project.settings import *  # noqa: F403 - a settings file stands for the other whole
from orders_project.settings import INSTALLED_APPS as SERVICE_APPS
from orders_project.settings import OUTBOX as SERVICE_OUTBOX

INSTALLED_APPS = [*SERVICE_APPS, "benchmarks"]
ROOT_URLCONF = "benchmarks.urls"

# Only P4 has it: one more loop of the relay.
OUTBOX = SERVICE_OUTBOX
if url := os.environ.get("BENCH_OUTSIDE_URL"):
    transport = {"BACKEND": "benchmarks.transports.ListTransport", "OPTIONS": {"url": url}, "TYPES": ["bench.*"]}
    OUTBOX = {**SERVICE_OUTBOX, "DESTINATIONS": {**SERVICE_OUTBOX["DESTINATIONS"], "bench_outside": transport}}
