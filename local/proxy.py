"""A TCP proxy that breaks what it carries: between any process and Postgres, the broker or a provider.

Guarantees that a fault is in force when the call that asks for it returns, that a request whose reply is lost has
reached the server, and that `end` leaves no thread and no socket. Listens on 127.0.0.1 only. Does not guarantee that
*nothing* of a pattern that is not forwarded reaches the server: its beginning may, its last byte never does.
"""

import asyncio
import contextlib
import socket
import threading
from collections.abc import Coroutine
from typing import Any, Self, TypeVar
from urllib.parse import urlsplit

from local import ports
from local.proxy_links import PATTERN_MAX_BYTES, Landed, Link, Trap, Way, reset

CHUNK_BYTES = 65_536
BACKLOG = 512
# A server that does not answer a request whose reply is to be lost is left after this.
REPLY_SECONDS = 10.0
CONTROL_SECONDS = 10.0
# psycopg ends a transaction by a simple Query message: type, length, text, NUL (Postgres protocol 3.0, "Query").
COMMIT = b"Q\x00\x00\x00\x0bCOMMIT\x00"

Result = TypeVar("Result")


class Proxy:
    """Starts at once; `with Proxy(...)` or `end()` ends it."""

    def __init__(self, target_host: str, target_port: int) -> None:
        self.target = (target_host, target_port)
        self.port = ports.any_free()
        self.landed = Landed()
        self._delay_seconds = 0.0
        self._traps: list[Trap] = []
        self._links: set[Link] = set()
        self._accepting: asyncio.Task[None] | None = None
        self._serving: set[asyncio.Task[None]] = set()
        self._loop = asyncio.new_event_loop()
        self._passable = asyncio.Event()
        self._thread = threading.Thread(target=self._loop.run_forever, name=f"proxy-{self.port}", daemon=True)
        self._thread.start()
        self._do(self._heal())

    @classmethod
    def before(cls, url: str) -> Self:
        """A proxy in front of the server that the URL names."""
        parts = urlsplit(url)
        if parts.hostname is None or parts.port is None:
            raise ValueError(f"a proxy needs a host and a port: {url}")
        return cls(parts.hostname, parts.port)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.end()

    def url(self, for_url: str) -> str:
        """The same URL, through the proxy."""
        parts = urlsplit(for_url)
        login = f"{parts.netloc.rpartition('@')[0]}@" if "@" in parts.netloc else ""
        return parts._replace(netloc=f"{login}127.0.0.1:{self.port}").geturl()

    def delay(self, seconds: float) -> None:
        """Every chunk, in both directions, waits so long before it goes on."""
        self._do(self._set_delay(seconds))

    def cut(self) -> int:
        """Resets every connection of this moment; new ones are served. Returns how many there were."""
        return self._do(self._cut())

    def black_hole(self) -> None:
        """Nothing passes any more and nobody is told; healing lets what waited go on, as after a lost network."""
        self._do(self._stop_passing())

    def refuse(self) -> None:
        """New connections are refused, as by a server that is not there; those of this moment go on."""
        self._do(self._stop_listening())

    def cut_after(
        self,
        pattern: bytes,
        *,
        forwards: bool,
        times: int = 1,
        in_replies: bool = False,
        late_seconds: float = 0.0,
    ) -> None:
        """Cuts the connection on which the pattern passes, the next so many times.

        In requests, `forwards` lets the pattern reach the server, waits for the reply and loses it; with `late_seconds`
        the client is cut first and the pattern arrives so much later. In replies, it lets the pattern reach the client.
        """
        if not 0 < len(pattern) <= PATTERN_MAX_BYTES:
            raise ValueError(f"a pattern has 1 to {PATTERN_MAX_BYTES} bytes")
        trap = Trap(pattern=pattern, forwards=forwards, in_replies=in_replies, late_seconds=late_seconds, times=times)
        self._do(self._set_trap(trap))

    def heal(self) -> None:
        """Everything passes again. Connections that were cut stay cut; the counters stay."""
        self._do(self._heal())

    def end(self) -> None:
        """Resets what is still connected and ends the thread; safe to repeat."""
        if self._loop.is_closed():
            return
        self._do(self._end())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(CONTROL_SECONDS)
        self._loop.close()

    def _do(self, act: Coroutine[Any, Any, Result]) -> Result:
        """Runs in the proxy's thread, to its end: what follows meets the new state."""
        return asyncio.run_coroutine_threadsafe(act, self._loop).result(CONTROL_SECONDS)

    async def _set_delay(self, seconds: float) -> None:
        self._delay_seconds = seconds

    async def _set_trap(self, trap: Trap) -> None:
        self._traps.append(trap)

    async def _stop_passing(self) -> None:
        self._passable.clear()

    async def _cut(self) -> int:
        links, self._links = self._links, set()
        for link in links:
            link.cut()
        self.landed.connections_cut += len(links)
        return len(links)

    async def _stop_listening(self) -> None:
        if self._accepting:
            self._accepting.cancel()
            await asyncio.wait([self._accepting])
            self._accepting = None

    async def _heal(self) -> None:
        self._delay_seconds = 0.0
        self._traps.clear()
        self._passable.set()
        if self._accepting is None:
            entrance = socket.create_server(("127.0.0.1", self.port), backlog=BACKLOG)
            entrance.settimeout(0)
            self._accepting = asyncio.create_task(self._accept(entrance))

    async def _end(self) -> None:
        await self._stop_listening()
        await self._cut()
        others = asyncio.all_tasks() - {asyncio.current_task()}
        for task in others:
            task.cancel()
        await asyncio.gather(*others, return_exceptions=True)

    async def _accept(self, entrance: socket.socket) -> None:
        # asyncio's own server loses a connection that it accepts while it is closed.
        with entrance:
            while True:
                connection, _ = await asyncio.get_running_loop().sock_accept(entrance)
                self.landed.connections += 1
                serving = asyncio.create_task(self._serve(connection))
                self._serving.add(serving)
                serving.add_done_callback(self._serving.discard)

    async def _serve(self, connection: socket.socket) -> None:
        source, client = await asyncio.open_connection(sock=connection)
        try:
            answers, server = await asyncio.open_connection(*self.target)
        except OSError:
            self.landed.servers_unreachable += 1
            reset(client)
            return
        link = Link(client, server)
        self._links.add(link)
        requests = Way(link=link, source=source, target=server, is_replies=False)
        replies = Way(link=link, source=answers, target=client, is_replies=True)
        try:
            await asyncio.gather(self._carry(requests), self._carry(replies))
        finally:
            self._links.discard(link)
            client.close()
            server.close()

    async def _carry(self, way: Way) -> None:
        """Chunk by chunk, until its source has said all or the link is cut."""
        try:
            while chunk := await way.source.read(CHUNK_BYTES):
                await asyncio.sleep(self._delay_seconds)
                await self._passable.wait()
                await self._pass_on(way, chunk)
                way.before = (way.before + chunk)[-PATTERN_MAX_BYTES:]
            await self._passable.wait()
            way.target.write_eof()
        except OSError:
            # One side is gone without a word: the other learns it the same way.
            way.link.cut()

    async def _pass_on(self, way: Way, chunk: bytes) -> None:
        if way.is_replies and way.link.loses_replies:
            self.landed.lost_bytes += len(chunk)
            way.link.reply_lost.set()
            return
        trap, end = self._sprung(way, chunk)
        if trap is None:
            await self._write(way, chunk)
            return
        self.landed.patterns += 1
        self.landed.connections_cut += 1
        if trap.in_replies:
            self.landed.lost_bytes += len(chunk) - (end if trap.forwards else 0)
        if trap.forwards and trap.in_replies:
            await self._write(way, chunk[:end])
            way.target.close()  # a reset could overtake what the client has yet to read
            reset(way.link.server)
            return
        if trap.forwards:
            await self._lose_reply(trap, way, chunk[:end])
        way.link.cut()

    def _sprung(self, way: Way, chunk: bytes) -> tuple[Trap | None, int]:
        """The first trap for this way whose pattern ends in the chunk, and where; it is one time less armed."""
        for trap in self._traps:
            end = trap.find(way.before, chunk) if trap.times and trap.in_replies == way.is_replies else None
            if end is not None:
                trap.times -= 1
                return trap, end
        return None, 0

    async def _lose_reply(self, trap: Trap, way: Way, request: bytes) -> None:
        way.link.loses_replies = True
        if trap.late_seconds:
            reset(way.link.client)
            await asyncio.sleep(trap.late_seconds)
        await self._write(way, request)
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(way.link.reply_lost.wait(), REPLY_SECONDS)

    async def _write(self, way: Way, chunk: bytes) -> None:
        # Counted first: who sees the bytes may look at the counters at once.
        if way.is_replies:
            self.landed.reply_bytes += len(chunk)
        else:
            self.landed.request_bytes += len(chunk)
        way.target.write(chunk)
        await way.target.drain()
