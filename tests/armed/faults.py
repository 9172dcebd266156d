"""What fires at a crash point. Each says what it does to the process, and what the test has to do afterwards."""

import os
import signal
import time
from collections.abc import Callable, Mapping
from typing import Final

from .switch import Armed

GO_SECONDS: Final = 15.0


class ArmedFault(Exception):
    """An error that no code expects."""


def kill(_: Armed) -> None:
    """SIGKILL to this process: a child of a prefork worker or of gunicorn dies alone, and its parent starts another."""
    os.kill(os.getpid(), signal.SIGKILL)


def kill_all(_: Armed) -> None:
    """SIGKILL to the whole process group, parent included: the test starts it again."""
    os.killpg(os.getpgrp(), signal.SIGKILL)


def throw(_: Armed) -> None:
    raise ArmedFault("armed")


def freeze(_: Armed) -> None:
    """SIGSTOP to this process: the test wakes it with SIGCONT when its claim is long over."""
    os.kill(os.getpid(), signal.SIGSTOP)


def freeze_all(_: Armed) -> None:
    """SIGSTOP to the whole process group: a parent that goes on would kill a frozen child at its time limit."""
    os.killpg(os.getpgrp(), signal.SIGSTOP)


def commit(armed: Armed) -> None:
    """Waits until the test has set its trap for the COMMIT that follows, then goes on."""
    deadline = time.monotonic() + GO_SECONDS
    while not armed.go.exists():
        if time.monotonic() > deadline:
            raise ArmedFault("nobody set a trap for the COMMIT")
        time.sleep(0.005)


def nothing(_: Armed) -> None:
    """The call itself is lost or doubled (tests.armed.arming)."""


LOSE: Final = "lose"
DOUBLE: Final = "double"
COMMIT_LANDS: Final = "commit_lands"
COMMIT_LOST: Final = "commit_lost"
FAULTS: Final[Mapping[str, Callable[[Armed], None]]] = {
    "kill": kill,
    "kill_all": kill_all,
    "raise": throw,
    "freeze": freeze,
    "freeze_all": freeze_all,
    COMMIT_LANDS: commit,
    COMMIT_LOST: commit,
    LOSE: nothing,
    DOUBLE: nothing,
}
