"""The real service on which crash points are tried one after the other: only what died is started again.

Every process comes up armed (tests.armed.settings) and is told by a file which point is to fire. Web, relay and workers
reach Postgres, and the remote worker the sandbox, through a proxy of their own. The test is the supervisor.
Guarantee: nothing of it outlives `end`.
"""

import json
import os
import shutil
import signal
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import requests
from django.db import connection

from local.folder import Folder, local_dir
from local.heartbeats import Heartbeats
from local.proxy import COMMIT, Proxy
from local.seed import seed_demo
from local.stack import Stack, kind_of, wait_until
from local.valkey import Valkey
from outbox.models import OutboxMessage
from tests.armed.faults import COMMIT_LANDS, COMMIT_LOST
from tests.armed.switch import Armed
from tests.support import webhooks
from tests.support.service import Service

from .customers import Customers
from .point import Point

KINDS = ("sandbox", "web", "relay", "worker", "remote-worker")
THROUGH_PROXY = ("web", "relay", "worker", "remote-worker")
# Short waits, in the relations that the system checks demand; what has no variable is derived in tests.armed.settings.
SHORT_WAITS = {
    "OUTBOX_CLAIM_SECONDS": "4",
    "OUTBOX_REMOTE_CLAIM_SECONDS": "6.6",
    "OUTBOX_BACKOFF_BASE_SECONDS": "0.5",
    "OUTBOX_POLL_INTERVAL_MS": "100",
    "DATABASE_STATEMENT_TIMEOUT_SECONDS": "3",
    "DATABASE_IDLE_IN_TRANSACTION_TIMEOUT_SECONDS": "3",
    "DATABASE_LOCK_TIMEOUT_SECONDS": "1",
    "PROVIDER_TOTAL_DEADLINE_SECONDS": "1.5",
    "PROVIDER_IN_FLIGHT_HORIZON_SECONDS": "2",
    # A breaker is another test's matter.
    "PROVIDER_BREAKER_FAILURES": "100",
    "PROVIDER_BREAKER_OPEN_SECONDS": "1",
    "SAGA_SWEEP_INTERVAL_SECONDS": "2",
    # It comes when its own points ask for it: a doubt of its own would open a message while an order is judged.
    "RECONCILIATION_INTERVAL_SECONDS": "3600",
    "WEB_THREADS": "4",
}
# Its points are cut by a statement's text (Point.cut_by), and a statement that is prepared is sent by a name.
UNPREPARED = {"DATABASE_PREPARE_AFTER": "0"}
# Waited for, never asserted: a machine may be busy.
FIRE_SECONDS = 60.0


@dataclass
class Stage:
    """One stack, its proxies, and what is armed on it."""

    folder: Folder
    valkey: Valkey
    stack: Stack
    environment: dict[str, str]
    proxies: dict[str, Proxy]
    sandbox_proxy: Proxy
    customers: Customers
    # Up to where the sandbox's listings have been read (tests.crash_points.verdict).
    cursors: dict[str, str] = field(default_factory=dict)
    breaches: set[str] = field(default_factory=set)
    _number: int = 0
    _extra: list[str] = field(default_factory=list)

    # ── processes ──

    def start(self, *names: str) -> None:
        """Returns at once; a process that runs is left alone."""
        for name in names:
            kind = kind_of(name).name
            own: dict[str, str] = {}
            if kind in THROUGH_PROXY:
                own["DATABASE_URL"] = self.proxies[kind].url(self.environment["DATABASE_URL"])
            if kind == "relay":
                own |= UNPREPARED
            if kind == "remote-worker":
                own["SANDBOX_URL"] = self.sandbox_proxy.url(self.stack.sandbox_url)
            self.stack.start(name, environment=own)

    def revive(self) -> None:
        """What a supervisor does: whatever died is started again."""
        dead = [name for name, program in self.stack.programs.items() if not program.is_running]
        self.start(*dead)

    def start_beside(self, name: str) -> None:
        """A second process of a kind, until the point is over."""
        self._extra.append(name)
        self.start(name)

    def end_extra(self) -> None:
        """One process of each kind again."""
        for name in self._extra:
            self.stack.kill(name)
            del self.stack.programs[name]
        self._extra.clear()

    def wake(self, name: str) -> None:
        """SIGCONT to what was frozen."""
        pid = self.stack.programs[name].pid
        assert pid is not None
        os.killpg(pid, signal.SIGCONT)

    def wake_all(self) -> None:
        for name, program in self.stack.programs.items():
            if program.is_running:
                self.wake(name)

    def wait_for_the_end_of(self, name: str, armed: Armed, mark: Mapping[str, Any]) -> None:
        """Until what was frozen in this process has come to its end, by returning or with its process."""
        if mark["encloses"]:
            is_over = lambda: armed.over.exists() or not _lives(mark["pid"])  # noqa: E731 - a sentence
            self.wait(is_over, within_seconds=FIRE_SECONDS, what=f"the end of what was frozen in {name}")
        elif kind_of(name).has_heartbeat:
            self.wait_for_life(name)

    # ── the point ──

    def arm(self, *acts: tuple[Point, str]) -> list[Armed]:
        """From now on the next passage of the first point fires, once; after that, of the second."""
        armed: list[Armed] = []
        for point, fault in acts:
            self._number += 1
            mark = self.folder.path / "marks" / f"{self._number:03}-{point.name}-{fault}"
            armed.append(Armed(point.name, fault, mark, armed[-1].mark if armed else None))
        self._switch.write_text("\n".join(one.line() for one in armed))
        return armed

    def disarm(self) -> None:
        """Nothing fires any more, and the world is well."""
        self._switch.write_text("")
        for proxy in (*self.proxies.values(), self.sandbox_proxy):
            proxy.heal()

    def fired(self, armed: Armed) -> Mapping[str, Any]:
        """Waits until the fault has fired; tells where. A point that is never passed fails here."""
        mark = armed.mark
        what = f"{armed.point} × {armed.fault}, which nobody passed:"
        self.wait(lambda: mark.exists() and mark.stat().st_size > 0, within_seconds=FIRE_SECONDS, what=what)
        found: dict[str, Any] = json.loads(mark.read_text())
        return found

    def cut_commit(self, point: Point, armed: Armed) -> None:
        """Cuts the next COMMIT of the armed process: after it reached Postgres, or before."""
        assert armed.fault in (COMMIT_LANDS, COMMIT_LOST)
        proxy = self.proxies[point.seam.process]
        before = proxy.landed.patterns
        proxy.cut_after(point.cut_by or COMMIT, forwards=armed.fault == COMMIT_LANDS)
        armed.go.touch()
        self.wait(lambda: proxy.landed.patterns > before, within_seconds=FIRE_SECONDS, what="the cut of the COMMIT")

    # ── the world ──

    def wait(self, happened: Callable[[], bool], *, within_seconds: float, what: str) -> None:
        """Meanwhile whatever dies is started again."""

        def has_happened() -> bool:
            self.revive()
            return happened()

        wait_until(has_happened, within_seconds=within_seconds, what=what)

    def wait_for_life(self, name: str) -> None:
        """Until the process has said once more that it lives."""
        heartbeats = Heartbeats(self.environment["DATABASE_URL"])
        now = heartbeats.now()
        self.wait(lambda: heartbeats.seen_since(name, now), within_seconds=FIRE_SECONDS, what=f"a heartbeat of {name}")

    def wait_for_webhooks(self) -> None:
        """Until the sandbox has none to deliver."""
        none_left = lambda: webhooks.under_way(self.stack.sandbox_url) == 0  # noqa: E731 - a sentence
        self.wait(none_left, within_seconds=FIRE_SECONDS, what="the last webhook")

    def mood(self, provider: str, name: str, **rates: float) -> None:
        answer = requests.post(
            f"{self.stack.sandbox_url}/moods/{provider}", json={"mood": name, "rates": rates}, timeout=5
        )
        answer.raise_for_status()

    def audit(self) -> list[dict[str, Any]]:
        """What `manage.py audit` finds when all has come to rest, the providers' books included."""
        self.disarm()
        self.wait_for_webhooks()
        unfinished = OutboxMessage.objects.filter(state="open").exclude(destination__startswith="audit.")
        self.wait(lambda: not unfinished.exists(), within_seconds=FIRE_SECONDS, what="rest in the outbox")
        self.stack.stop("web", "relay", "worker", "remote-worker")
        return Service(self.stack, self.valkey, {}).audit()

    @property
    def ledger(self) -> Path:
        """What the destination outside has received."""
        return Path(self.environment["ARMED_LEDGER"])

    @property
    def _switch(self) -> Path:
        return Path(self.environment["ARMED_SWITCH"])

    def end(self) -> None:
        self.customers.leave()
        self.stack.kill()
        self.valkey.end()
        for proxy in (*self.proxies.values(), self.sandbox_proxy):
            proxy.end()


def open_stage() -> Stage:
    """A running service over the test's database; `end` ends it."""
    folder = Folder(local_dir() / f"crash-points-{os.environ.get('PYTEST_XDIST_WORKER', 'alone')}")
    folder.make()
    valkey = Valkey(folder)
    valkey.start()
    environment: dict[str, str] = {}
    stack = Stack(folder, environment)
    environment |= _environment(folder, stack, valkey)
    token = seed_demo(folder)["tokens"]["customer"]
    stage = Stage(
        folder=folder,
        valkey=valkey,
        stack=stack,
        environment=environment,
        proxies={kind: Proxy.before(environment["DATABASE_URL"]) for kind in THROUGH_PROXY},
        sandbox_proxy=Proxy.before(stack.sandbox_url),
        customers=Customers(stack.base_url, token),
    )
    try:
        stage.disarm()
        stage.start(*KINDS)
        stack.wait_until_ready(*KINDS)
    except BaseException:
        stage.end()
        raise
    return stage


def _environment(folder: Folder, stack: Stack, valkey: Valkey) -> dict[str, str]:
    metrics, marks = folder.path / "metrics", folder.path / "marks"
    for old in (metrics, marks):
        old.mkdir(exist_ok=True)
        for file in old.iterdir():
            file.unlink()
    ledger = folder.path / "outside.jsonl"
    ledger.unlink(missing_ok=True)
    shutil.rmtree(folder.path / "sandbox", ignore_errors=True)
    server = urlsplit(os.environ["DATABASE_URL"])
    return {
        **SHORT_WAITS,
        "DJANGO_SETTINGS_MODULE": "tests.armed.settings",
        "ARMED_SWITCH": str(folder.path / "armed"),
        "ARMED_LEDGER": str(ledger),
        "DATABASE_URL": server._replace(path=f"/{connection.settings_dict['NAME']}").geturl(),
        "CELERY_BROKER_URL": valkey.url(),
        "THROTTLE_REDIS_URL": valkey.url(1),
        "SANDBOX_URL": stack.sandbox_url,
        "WEBHOOK_URL": f"{stack.base_url}/webhooks/payments",
        "PROMETHEUS_MULTIPROC_DIR": str(metrics),
        "ORDERS_LOCAL_DIR": str(folder.path),
        "LOG_LEVEL": "INFO",
        "PYTHONUNBUFFERED": "1",
    }


def _lives(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True
