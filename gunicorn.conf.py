"""The web process: threads that share one pool of database connections in each process.

Read by gunicorn before it loads Django, so that the pool's size stands in the environment when settings.py reads it.
"""

import os
from pathlib import Path
from typing import Any

bind = os.environ.get("WEB_BIND", "0.0.0.0:8000")
workers = int(os.environ.get("WEB_WORKERS", "2"))
threads = int(os.environ.get("WEB_THREADS", "16"))
worker_class = "gthread"
# A request takes milliseconds; the bound is for one that hangs, above every timeout that Postgres keeps for us.
timeout = 30
graceful_timeout = 10
keepalive = 5
# Shared memory: the heartbeat of a worker must not wait for a disk.
worker_tmp_dir = "/dev/shm" if Path("/dev/shm").is_dir() else None  # noqa: S108 - gunicorn makes its own file there
control_socket_disable = True
accesslog = None
errorlog = "-"

# One connection per thread at most, for a thread that waits for its twin's row holds one; and the wake-up's own, which
# its thread keeps (outbox.wakeup), and one for who scrapes METRICS_BIND.
os.environ.setdefault("DATABASE_POOL_MAX_SIZE", str(threads + 2))


def post_worker_init(worker: Any) -> None:
    """Serves /metrics on METRICS_BIND too, once Django is loaded: any worker answers for all of them."""
    from orders_project import metrics_server

    metrics_server.start()


def child_exit(server: Any, worker: Any) -> None:
    """Takes the gauges of a process that ended out of /metrics."""
    if not os.environ.get("PROMETHEUS_MULTIPROC_DIR"):
        return
    try:
        from prometheus_client.multiprocess import mark_process_dead

        mark_process_dead(worker.pid)  # type: ignore[no-untyped-call] # the package has no types
    except OSError as error:
        # What is raised here ends the master, and with it the service: a stale gauge is the smaller evil (F20).
        server.log.warning("The gauges of process %s are still told: %s", worker.pid, error)
