"""Which queues a process knows that never ran a task: the relay only rings, and a web process not even that."""

import json
import os
import subprocess
import sys

import pytest

from local.folder import PROJECT_DIR
from orders_project.celery import QUEUES

ASK = """
import json
import django
django.setup()
from celery import current_app
print(json.dumps({name: queue.queue_arguments for name, queue in current_app.amqp.queues.items()}))
"""


@pytest.mark.parametrize(
    ("broker_url", "arguments"),
    [("amqp://guest@127.0.0.1:1//", {"x-queue-type": "quorum"}), ("redis://127.0.0.1:1/0", {})],
)
def test_a_process_that_only_rings_declares_the_queues_that_the_workers_declare(broker_url, arguments):
    """Else RabbitMQ would refuse whoever comes second: the relay's rings, or every worker for ever."""
    environment = {**os.environ, "CELERY_BROKER_URL": broker_url, "DJANGO_SETTINGS_MODULE": "orders_project.settings"}

    told = subprocess.run(
        [sys.executable, "-c", ASK], cwd=PROJECT_DIR, env=environment, capture_output=True, text=True, check=True
    )

    assert json.loads(told.stdout.splitlines()[-1]) == dict.fromkeys(QUEUES, arguments)
