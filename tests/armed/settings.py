"""The service's own settings with short waits, and the app that arms crash points (docs/crash-points.md).

Claims are as short as OUTBOX_CLAIM_SECONDS and OUTBOX_REMOTE_CLAIM_SECONDS say; what must be shorter than a claim is
made so here, so that the system checks hold as they do in production.
"""

import environ

from orders_project.settings import *  # noqa: F403 - everything is as in production but what follows
from orders_project.settings import INSTALLED_APPS as SERVICE_APPS
from orders_project.settings import OUTBOX as SERVICE_OUTBOX
from orders_project.settings import PROVIDER_DEFAULTS as SERVICE_PROVIDER_DEFAULTS

env = environ.Env()

# Last, so that every consumer, saga and tick is known when its functions are armed.
INSTALLED_APPS = [*SERVICE_APPS, "tests.armed"]

CELERY_TASK_SOFT_TIME_LIMIT = max(1, int(SERVICE_OUTBOX["CLAIM_SECONDS"]) - 2)
CELERY_TASK_TIME_LIMIT = CELERY_TASK_SOFT_TIME_LIMIT + 1

_DEADLINE_SECONDS = SERVICE_PROVIDER_DEFAULTS["TOTAL_DEADLINE_SECONDS"]
_LIMITS = {
    **SERVICE_PROVIDER_DEFAULTS,
    "CONNECT_TIMEOUT_SECONDS": min(SERVICE_PROVIDER_DEFAULTS["CONNECT_TIMEOUT_SECONDS"], _DEADLINE_SECONDS),
    "READ_TIMEOUT_SECONDS": min(SERVICE_PROVIDER_DEFAULTS["READ_TIMEOUT_SECONDS"], _DEADLINE_SECONDS),
}
PROVIDERS = dict.fromkeys(("payments", "shipping", "notifications"), _LIMITS)

OUTBOX = {**SERVICE_OUTBOX, "DESTINATIONS": {**SERVICE_OUTBOX["DESTINATIONS"]}}
# A destination outside: each message is a line of this file.
if ledger := env.str("ARMED_LEDGER", ""):
    OUTBOX["DESTINATIONS"]["ledger"] = {
        "BACKEND": "tests.support.ledger_file.LedgerFile",
        "OPTIONS": {"path": ledger},
        "TYPES": ["order.*"],
    }
