"""What the proxy carries: a client's link to the server, its two ways, and the traps that wait for a pattern.

Guarantees that a pattern is found where it spans chunks. Holds no state of the proxy's own (`local.proxy`).
"""

import asyncio
import socket
import struct
from dataclasses import dataclass, field

# The longest pattern that may span chunks.
PATTERN_MAX_BYTES = 1_024


@dataclass
class Landed:
    """What the proxy has done so far: a test that delivered no fault proves nothing."""

    connections: int = 0
    connections_cut: int = 0
    servers_unreachable: int = 0
    patterns: int = 0
    request_bytes: int = 0
    reply_bytes: int = 0
    # Of replies only.
    lost_bytes: int = 0


@dataclass(kw_only=True)
class Trap:
    """Waits for a pattern in one direction, so many times."""

    pattern: bytes
    forwards: bool
    in_replies: bool
    late_seconds: float
    times: int

    def find(self, before: bytes, chunk: bytes) -> int | None:
        """Where in the chunk the pattern ends, were its beginning in an earlier chunk."""
        kept = before[-(len(self.pattern) - 1) :] if len(self.pattern) > 1 else b""
        found = (kept + chunk).find(self.pattern)
        return None if found < 0 else found + len(self.pattern) - len(kept)


@dataclass(eq=False)
class Link:
    """One client's connection and its twin to the server."""

    client: asyncio.StreamWriter
    server: asyncio.StreamWriter
    loses_replies: bool = False
    reply_lost: asyncio.Event = field(default_factory=asyncio.Event)

    def cut(self) -> None:
        reset(self.client)
        reset(self.server)


@dataclass(kw_only=True)
class Way:
    """One direction of a link."""

    link: Link
    source: asyncio.StreamReader
    target: asyncio.StreamWriter
    is_replies: bool
    before: bytes = b""


def reset(writer: asyncio.StreamWriter) -> None:
    """RST instead of FIN, so that the other side learns of it at once and cannot take it for an orderly end."""
    connection: socket.socket | None = writer.get_extra_info("socket")
    if connection is not None and connection.fileno() >= 0:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()
