"""F20: file descriptors or connections exhausted, provider's DNS fails: retryable, no crash loop.

That Postgres gives no connection is F5's (test_f05_postgres_restarts.py).
"""

import errno
import logging
import runpy
import uuid
from collections import Counter
from types import SimpleNamespace

import pytest
import redis
import requests

from local.folder import PROJECT_DIR
from payments.models import Payment
from sagas.models import Saga

from .plain_orders import confirmed, not_running, place, statuses
from .rest import assert_all_is_well, come_to_rest
from .starved import children, family, names_fail, without_descriptors

ORDERS = 6


def test_f20_the_web_processes_master_outlives_a_child_whose_files_it_cannot_open(monkeypatch, caplog):
    """F20: what a hook of gunicorn raises ends the master, and with it the service."""
    monkeypatch.setenv("PROMETHEUS_MULTIPROC_DIR", "/nowhere")
    monkeypatch.setenv("DATABASE_POOL_MAX_SIZE", "2")
    child_exit = runpy.run_path(str(PROJECT_DIR / "gunicorn.conf.py"))["child_exit"]
    monkeypatch.setattr("prometheus_client.multiprocess.mark_process_dead", refuse_descriptor)

    child_exit(SimpleNamespace(log=logging.getLogger("master")), SimpleNamespace(pid=7))

    assert "Too many open files" in caplog.text


def refuse_descriptor(pid):
    raise OSError(errno.EMFILE, "Too many open files")


@pytest.mark.proof
def test_f20_a_web_process_without_descriptors_takes_orders_again_by_itself(service):
    """F20, I1, I2: whoever got no answer retries with the same key; each key ends in one order."""
    service.start()
    keys = [str(uuid.uuid4()) for _ in range(ORDERS)]

    web = service.stack.programs["web"]
    with without_descriptors(children(web)):
        for key in keys:
            was_answered(service, key)  # or not: a child that ended of it is soon replaced
        service.wait_until(lambda: "Too many open files" in web.said(), within_seconds=30, what="a refused descriptor")

    service.wait_until(
        lambda: all(was_answered(service, key) for key in keys), within_seconds=60, what="an answer to each key"
    )
    assert not_running(service) == []
    assert_all_is_well(service)
    assert confirmed() == ORDERS


@pytest.mark.proof
def test_f20_workers_and_relay_without_descriptors_go_on_by_themselves(service):
    """F20, I4: no order is lost; whoever supervises the processes restarts at most those that ended themselves."""
    service.start()
    assert statuses(place(service, 1)) == {201}
    come_to_rest(service)
    programs = service.stack.programs

    starving = [process for name in ("worker", "remote-worker", "relay") for process in family(programs[name])]

    with without_descriptors(starving):
        assert statuses(place(service, ORDERS)) == {201}
        cut_all_clients(service)
        service.wait_until(
            lambda: any("Too many open files" in programs[name].said() for name in ("worker", "relay")),
            within_seconds=30,
            what="a refused descriptor",
        )

    restarts: Counter[str] = Counter()

    def all_confirmed():
        """Meanwhile what has ended itself is started again, as the supervisor and every orchestrator do."""
        restarts.update(not_running(service))
        service.stack.start(*(not_running(service) or ["web"]))
        return confirmed() == 1 + ORDERS

    service.wait_until(all_confirmed, within_seconds=120, what="the end of every order")
    assert max(restarts.values(), default=0) <= 1, f"a crash loop: {restarts}"
    assert_all_is_well(service)


@pytest.mark.proof
def test_f20_a_provider_whose_name_does_not_resolve_is_asked_again_later(service, tmp_path):
    """F20, I13: nothing was sent, so nothing is unknown; sagas wait and none gives up."""
    environment, names_fail_while = names_fail(tmp_path, "localhost")
    by_name = service.sandbox_url.replace("127.0.0.1", "localhost")
    names_fail_while.touch()  # before the start: a connection that is open needs no name
    service.start("sandbox", "web", "relay", "worker")
    service.start("remote-worker", environment={**environment, "SANDBOX_URL": by_name})

    assert statuses(place(service, ORDERS)) == {201}
    waiting = Saga.objects.filter(current_step="charge_payment")
    service.wait_until(lambda: waiting.count() == ORDERS, within_seconds=60, what="each order's turn to be charged")
    service.wait_until(
        lambda: "not sent" in service.stack.programs["remote-worker"].said(),
        within_seconds=60,
        what="a call that was not sent",
    )
    assert set(Payment.objects.values_list("status", flat=True)) <= {"pending"}
    assert set(Saga.objects.values_list("status", flat=True)) == {"running"}

    names_fail_while.unlink()
    assert_all_is_well(service)
    assert (confirmed(), not_running(service)) == (ORDERS, [])


def was_answered(service, key):
    try:
        answer = requests.post(
            f"{service.base_url}/orders",
            json={"sku": "WIDGET", "quantity": 1},
            headers={"Authorization": f"Token {service.tokens['customer']}", "Idempotency-Key": key},
            timeout=3,
        )
    except requests.RequestException:
        return False
    assert answer.status_code in {201, 409, 503}, answer.text
    return answer.status_code == 201


def cut_all_clients(service):
    """Every process must open its connection to the broker anew."""
    redis.Redis.from_url(service.valkey.url()).client_kill_filter(skipme=True)
