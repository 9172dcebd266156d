"""A consumer whose effect is a row in the table `wild_effect`, unless the message takes the process with it."""

import ctypes
import os
import resource
import signal
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from django.db import connection

from outbox.consumer import consumer
from outbox.envelope import Message
from outbox.registry import Event

NAME = "wild.consumer"
SPARE_BYTES = 64 * 2**20


@dataclass(frozen=True, kw_only=True)
class Wild(Event):
    """`what` names a deed; `pid_file` is where a process that waits says who it is."""

    type: ClassVar[str] = "wild.happened.v1"
    aggregate_type: ClassVar[str] = "wild"
    what: str
    pid_file: str = ""


@consumer(NAME, event=Wild)
def happen(messages: Sequence[Message]) -> None:
    for message in messages:
        if deed := DEEDS.get(message.payload["what"]):
            deed(message)
        with connection.cursor() as cursor:
            cursor.execute(
                "INSERT INTO wild_effect (what, pid) VALUES (%s, %s)", [message.payload["what"], os.getpid()]
            )


def segfault(message: Message) -> None:
    ctypes.string_at(0)


def hog_memory(message: Message) -> None:
    """Asks for memory until the limit of the process refuses it."""
    soft, hard = resource.getrlimit(resource.RLIMIT_AS)
    resource.setrlimit(resource.RLIMIT_AS, (_address_space_bytes() + SPARE_BYTES, hard))
    hoard = []
    try:
        while True:
            hoard.append(bytearray(2**20))
    finally:
        hoard.clear()
        resource.setrlimit(resource.RLIMIT_AS, (soft, hard))


def be_killed_by_the_kernel(message: Message) -> None:
    """What the kernel does to the process that it chose when memory is out."""
    os.kill(os.getpid(), signal.SIGKILL)


def loop(message: Message) -> None:
    """Forever, and deaf to the polite one of the two time limits."""
    while True:
        try:
            while True:
                time.sleep(0.01)
        except Exception:  # noqa: BLE001 - deaf on purpose
            continue


def wait_to_be_frozen(message: Message) -> None:
    """The first attempt says where it is and waits for the signal; any later one just does its work."""
    if message.attempts == 1:
        Path(message.payload["pidFile"]).write_text(str(os.getpid()))
        time.sleep(60)


DEEDS: dict[str, Callable[[Message], None]] = {
    "segfault": segfault,
    "hog": hog_memory,
    "oom": be_killed_by_the_kernel,
    "loop": loop,
    "freeze": wait_to_be_frozen,
}


def _address_space_bytes() -> int:
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    return pages * resource.getpagesize()
