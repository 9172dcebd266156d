"""Races: functions that run at the same moment, each in a thread with a connection of its own."""

import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

from django.db import connection

JOIN_SECONDS = 30


def at_once(*functions: Callable[[], Any]) -> list[Any]:
    """Runs all of them behind one barrier; answers what they returned, in order. Raises what the first one raised."""
    barrier = threading.Barrier(len(functions))

    def run(function: Callable[[], Any]) -> Any:
        try:
            barrier.wait(JOIN_SECONDS)
            return function()
        finally:
            connection.close()

    with ThreadPoolExecutor(len(functions)) as pool:
        return [future.result(JOIN_SECONDS) for future in [pool.submit(run, function) for function in functions]]


def in_thread(function: Callable[[], Any]) -> "Future[Any]":
    """Starts a function in a thread with a connection of its own."""
    future: Future[Any] = Future()

    def run() -> None:
        try:
            future.set_result(function())
        except BaseException as error:  # noqa: BLE001 - it belongs to whoever waits for the result
            future.set_exception(error)
        finally:
            connection.close()

    threading.Thread(target=run, daemon=True).start()
    return future


def until_somebody_waits() -> None:
    """Returns once a session waits for another one's lock."""
    pause = threading.Event()
    for _ in range(int(JOIN_SECONDS / 0.02)):
        with connection.cursor() as cursor:
            cursor.execute("SELECT count(*) FROM pg_locks WHERE NOT granted")
            if cursor.fetchone()[0]:
                return
        pause.wait(0.02)
    raise AssertionError("Nobody waited.")
