"""Free ports on 127.0.0.1, remembered between starts so that URLs stay the same.

Does not guarantee that a port is still free when the server binds it: whoever starts one tries again with another.
"""

import random
import socket

from local.errors import PortTaken
from local.folder import Folder

REMEMBERED = "ports.json"
CANDIDATES = (15_000, 32_000)


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
        if is_free(port):
            return port


def choose(folder: Folder, name: str, *, first: int | None = None) -> int:
    """The port remembered for `name` while it is free; else the first free one from `first` on, or any."""
    remembered = folder.read_json(REMEMBERED)
    port = remembered.get(name)
    if not isinstance(port, int) or not is_free(port):
        port = any_free() if first is None else _next_free(first)
    folder.write_json(REMEMBERED, remembered | {name: port})
    return port


def insist(port: int, *, variable: str) -> int:
    """A port that somebody asked for by name is used or refused, never replaced."""
    if not is_free(port):
        raise PortTaken(f"Port {port} is taken by another program: free it, or set {variable} to another port.")
    return port


def _next_free(first: int) -> int:
    return next((port for port in range(first, first + 100) if is_free(port)), None) or any_free()
