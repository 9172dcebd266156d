"""F3: the reply that carried a task is cut: latency only.

The broker has handed the task out and forgotten it; nobody got it. A proxy between the workers and the broker cuts the
replies that carry a task's body.
"""

import pytest

from local.proxy import Proxy

from .plain_orders import attempts, confirmed, not_running, place, statuses
from .rest import assert_all_is_well

# The name of the task stands in the headers of each message's envelope.
TASK_BODY = b'"task": "outbox.deliver"'
CUTS = 6


@pytest.mark.proof
def test_f3_tasks_that_were_lost_on_the_way_to_the_worker_cost_no_order_and_no_attempt(service):
    """F3, I4: each is lost for ever to the broker; Postgres rings again, and what was never claimed burnt nothing."""
    with Proxy.before(service.valkey.url()) as broker:
        through = {"CELERY_BROKER_URL": broker.url(service.valkey.url())}
        service.stack.start("sandbox", "web", "relay")
        service.stack.start("worker", "remote-worker", environment=through)
        service.stack.wait_until_ready()
        broker.cut_after(TASK_BODY, forwards=False, in_replies=True, times=CUTS)

        assert statuses(place(service, 8)) == {201}

        service.wait_until(lambda: broker.landed.patterns == CUTS, within_seconds=60, what="the last cut")
        assert_all_is_well(service)
        assert (confirmed(), attempts(), not_running(service)) == (8, {1}, [])
