"""The processes of the service as data: what `make up` starts, what tests start and kill one by one.

The list is the architecture (docs/architecture.md). Each process knows its own name through `PROCESS_NAME`, which its
heartbeats and its database sessions carry.
"""

import sys
from dataclasses import dataclass, field

from local.folder import PROJECT_DIR

WORKER_PROCESSES = 2
# Two for each remote destination: a run that claims, and one before it that still awaits its answers. With fewer, slow
# providers could take them all, and the others' rings would wait. Room for the two of the benchmarks' saga, too: with
# fewer threads than its queues may need, a worker refuses to start (orders_project.checks).
REMOTE_WORKER_THREADS = 32

_MANAGE = (sys.executable, str(PROJECT_DIR / "manage.py"))
_CELERY = (sys.executable, "-m", "celery", "-A", "orders_project")
# Workers of one broker need not know each other; what they would tell each other costs a round trip at every start.
_ALONE = ("--without-gossip", "--without-mingle")


@dataclass(frozen=True, kw_only=True)
class ProcessKind:
    """One line of the table; `{…}` in a command is filled from the stack's places (ports, folder, name)."""

    name: str
    command: tuple[str, ...]
    environment: dict[str, str] = field(default_factory=dict)
    # The path that answers 200 once it is healthy, asked on `place`.
    health: str = ""
    place: str = ""
    # Says in Postgres that it lives.
    has_heartbeat: bool = False


PROCESS_TABLE = (
    ProcessKind(
        name="sandbox",
        command=(*_MANAGE, "sandbox", "run", "--port", "{sandbox_port}"),
        health="/health",
        place="{sandbox_url}",
    ),
    ProcessKind(
        name="web",
        command=(sys.executable, "-m", "gunicorn", "orders_project.wsgi", "--config", "gunicorn.conf.py"),
        environment={"WEB_BIND": "127.0.0.1:{web_port}"},
        health="/health/ready",
        place="{base_url}",
    ),
    ProcessKind(name="relay", command=(*_MANAGE, "relay_outbox"), has_heartbeat=True),
    ProcessKind(
        name="worker",
        command=(
            *(*_CELERY, "worker", "--queues", "ticks,default,steps", "--concurrency", str(WORKER_PROCESSES)),
            *("--pool", "prefork", "--hostname", "{name}@{stack}", *_ALONE),
        ),
        has_heartbeat=True,
    ),
    ProcessKind(
        name="remote-worker",
        command=(
            *(*_CELERY, "worker", "--queues", "payments,shipping,notifications"),
            *(
                "--concurrency",
                str(REMOTE_WORKER_THREADS),
                "--pool",
                "threads",
                "--hostname",
                "{name}@{stack}",
                *_ALONE,
            ),
        ),
        has_heartbeat=True,
    ),
    ProcessKind(
        name="beat",
        command=(*_CELERY, "beat", "--schedule", "{folder}/{name}-schedule", "--pidfile", ""),
        has_heartbeat=True,
    ),
)
KINDS = {kind.name: kind for kind in PROCESS_TABLE}
NAMES = tuple(KINDS)
