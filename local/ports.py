"""Free ports on 127.0.0.1, remembered between starts so that URLs stay the same.

Guarantees that two copies of the project that start at the same moment choose different ports (Linux). Does not
guarantee that another program leaves a port alone until the server binds it: Postgres and Valkey try another then.
"""

import random
import socket
import sys

from local.errors import NotAPort, PortTaken
from local.folder import Folder

REMEMBERED = "ports.json"
CANDIDATES = (15_000, 32_000)
_taken: dict[int, socket.socket] = {}


def is_free(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except (OSError, OverflowError):
            return False
    return True


def any_free() -> int:
    """Below the range that the kernel takes outgoing connections from, so that none of those is in the way later."""
    while True:
        port = random.randrange(*CANDIDATES)
        if _take(port):
            return port


def choose(folder: Folder, name: str, *, first: int | None = None) -> int:
    """The port remembered for `name` while it is free; else the first free one from `first` on, or any."""
    remembered = folder.read_json(REMEMBERED)
    port = remembered.get(name)
    if not isinstance(port, int) or not _take(port):
        port = any_free() if first is None else _next_free(first)
    folder.write_json(REMEMBERED, remembered | {name: port})
    return port


def parse(text: str, *, variable: str) -> int:
    """Raises NotAPort."""
    if not text.isdecimal() or not 1 <= int(text) <= 65_535:
        raise NotAPort(f"{variable} is {text!r}, which is no port: set it to a number from 1 to 65535.")
    return int(text)


def insist(port: int, *, variable: str) -> int:
    """A port that somebody asked for by name is used or refused, never replaced."""
    if not _take(port):
        raise PortTaken(f"Port {port} is taken by another program: free it, or set {variable} to another port.")
    return port


def _take(port: int) -> bool:
    """Free, and taken by no other copy that has yet to bind it; the kernel drops what we took when we end."""
    if port not in _taken and sys.platform == "linux":
        mark = socket.socket(socket.AF_UNIX)
        try:
            mark.bind(f"\0orders-port-{port}")
        except OSError:
            mark.close()
            return False
        _taken[port] = mark
    return is_free(port)


def _next_free(first: int) -> int:
    return next((port for port in range(first, first + 100) if _take(port)), None) or any_free()
