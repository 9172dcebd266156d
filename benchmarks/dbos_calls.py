"""The peer of P2: the same saga of two calls in DBOS. Runs in DBOS's own environment; knows nothing of this project.

`dbos_calls.py worker <number>` is one worker process. `dbos_calls.py enqueue` reads a JSON list of ids per line
of its input and enqueues one workflow for each, all in one transaction (DBOS's fastest way that we found).
"""

import json
import os
import sys
import threading

import requests
import sqlalchemy as sa  # type: ignore[import-not-found]  # lives in DBOS's own environment
from dbos import DBOS, DBOSClient, SQLAlchemyDatasource  # type: ignore[import-not-found]  # as above
from requests.adapters import HTTPAdapter

URL = os.environ["BENCH_DBOS_URL"].replace("postgres://", "postgresql://")
PROVIDER_URL = os.environ["BENCH_PROVIDER_URL"]
QUEUE = "bench"
# Of one process. A workflow holds its place while it calls, so this bounds the calls under way.
SLOTS = int(os.environ["BENCH_CALL_SLOTS"])
POLLING_SECONDS = float(os.environ.get("BENCH_DBOS_POLLING_SECONDS", "0.05"))
POOL_SIZE = int(os.environ.get("BENCH_DBOS_POOL_SIZE", "40"))
TIMEOUTS_SECONDS = (3.0, 10.0)


def define() -> None:
    """Local steps commit together with DBOS's own record of them; a call is a step in its workflow's thread."""
    source = SQLAlchemyDatasource.create(URL, engine_kwargs={"pool_size": POOL_SIZE, "max_overflow": 0})
    session = requests.Session()
    session.trust_env = False
    session.mount("http://", HTTPAdapter(pool_connections=2, pool_maxsize=SLOTS, max_retries=0))

    def touch(number: int, row: str) -> None:
        source.sql_session().execute(
            sa.text(f"UPDATE bench_step_{number} SET touched = touched + 1 WHERE id = :row"),
            {"row": row},
        )

    # The default is SERIALIZABLE, which costs more; our side runs at READ COMMITTED.
    step = source.transaction(touch, isolation_level="READ COMMITTED")

    @DBOS.step()
    def call(name: str, row: str) -> dict[str, str]:
        answer = session.post(
            f"{PROVIDER_URL}/calls",
            json={"amount": 1},
            headers={"Idempotency-Key": f"{row}:{name}", "Authorization": "Bearer bench"},
            timeout=TIMEOUTS_SECONDS,
        )
        answer.raise_for_status()
        receipt: dict[str, str] = answer.json()
        return receipt

    @DBOS.workflow(name="two_calls")
    def two_calls(row: str) -> None:
        step(1, row)
        call("call_2", row)
        call("call_3", row)
        step(4, row)


def work(number: str) -> None:
    DBOS(
        config={
            "name": "bench",
            "system_database_url": URL,
            "sys_db_pool_size": POOL_SIZE,
            "executor_id": f"worker-{number}",
            "application_version": "1",
            "log_level": "WARNING",
        }
    )
    define()
    DBOS.launch()
    DBOS.register_queue(QUEUE, worker_concurrency=SLOTS, polling_interval_sec=POLLING_SECONDS)
    print("ready", flush=True)
    threading.Event().wait()


def enqueue() -> None:
    client = DBOSClient(system_database_url=URL, application_name="bench")
    engine = sa.create_engine(URL.replace("postgresql://", "postgresql+psycopg://"))
    options = {"workflow_name": "two_calls", "queue_name": QUEUE, "app_version": "1"}
    for line in sys.stdin:
        with engine.begin() as connection:
            for row in json.loads(line):
                client.enqueue_in_transaction(connection, options, row)
        print("enqueued", flush=True)


if __name__ == "__main__":
    work(sys.argv[2]) if sys.argv[1] == "worker" else enqueue()
