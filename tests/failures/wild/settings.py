"""The service's own settings with the wild consumer, and waits of seconds instead of half minutes.

The relations between the limits are those of the deployed ones: orders_project.checks proves them at each start.
"""

from orders_project.settings import *  # noqa: F403 - a settings file stands for the other whole
from orders_project.settings import DATABASES as SERVICE_DATABASES
from orders_project.settings import INSTALLED_APPS as SERVICE_APPS
from orders_project.settings import OUTBOX as SERVICE_OUTBOX

INSTALLED_APPS = [*SERVICE_APPS, "tests.failures.wild"]
OUTBOX = SERVICE_OUTBOX | {"CLAIM_SECONDS": 5.0, "MAX_ATTEMPTS": 3, "BACKOFF_BASE_SECONDS": 0.2}
CELERY_TASK_SOFT_TIME_LIMIT = 3
CELERY_TASK_TIME_LIMIT = 4
DATABASE_STATEMENT_TIMEOUT_SECONDS = 4
DATABASE_IDLE_IN_TRANSACTION_TIMEOUT_SECONDS = 4
SERVICE_DATABASES["default"]["OPTIONS"]["options"] = (
    "-c statement_timeout=4s -c lock_timeout=2s -c idle_in_transaction_session_timeout=4s"
)
