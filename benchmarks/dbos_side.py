"""The peer of P1: the same four steps in DBOS. Runs in DBOS's own environment; knows nothing of this project.

`dbos_side.py worker <number>` is one worker process. `dbos_side.py enqueue` reads a count per line from its input,
enqueues one workflow per new row in one transaction (DBOS's fastest way that we found) and answers when it began.
"""

import json
import os
import sys
import threading
import time

import sqlalchemy as sa  # type: ignore[import-not-found]  # lives in DBOS's own environment
from dbos import DBOS, DBOSClient, SQLAlchemyDatasource  # type: ignore[import-not-found]  # as above

URL = os.environ["BENCH_DBOS_URL"].replace("postgres://", "postgresql://")
QUEUE = "bench"
WORKER_CONCURRENCY = int(os.environ.get("BENCH_DBOS_CONCURRENCY", "32"))
POLLING_SECONDS = float(os.environ.get("BENCH_DBOS_POLLING_SECONDS", "0.05"))
POOL_SIZE = 40


def define() -> None:
    """One workflow of four steps; each step's UPDATE commits together with DBOS's own record of the step."""
    source = SQLAlchemyDatasource.create(URL, engine_kwargs={"pool_size": POOL_SIZE, "max_overflow": 0})

    def touch(number: int, row: str) -> None:
        source.sql_session().execute(
            sa.text(f"UPDATE bench_step_{number} SET touched = touched + 1 WHERE id = :row"),
            {"row": row},
        )

    # The default is SERIALIZABLE, which costs more; our side and the chain run at READ COMMITTED.
    step = source.transaction(touch, isolation_level="READ COMMITTED")

    @DBOS.workflow(name="four_steps")
    def four_steps(row: str) -> None:
        for number in (1, 2, 3, 4):
            step(number, row)


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
    DBOS.register_queue(QUEUE, worker_concurrency=WORKER_CONCURRENCY, polling_interval_sec=POLLING_SECONDS)
    print("ready", flush=True)
    threading.Event().wait()


def enqueue() -> None:
    client = DBOSClient(system_database_url=URL, application_name="bench")
    engine = sa.create_engine(URL.replace("postgresql://", "postgresql+psycopg://"))
    options = {"workflow_name": "four_steps", "queue_name": QUEUE, "app_version": "1"}
    for _line in sys.stdin:
        with engine.begin() as connection:
            rows = [str(row) for (row,) in connection.execute(sa.text("SELECT id FROM bench_step_1 WHERE touched = 0"))]
            began = time.time()
            for row in rows:
                client.enqueue_in_transaction(connection, options, row)
        print(json.dumps({"began": began, "enqueued": time.time()}), flush=True)


if __name__ == "__main__":
    work(sys.argv[2]) if sys.argv[1] == "worker" else enqueue()
