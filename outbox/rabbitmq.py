"""A connection to RabbitMQ by its URL, for the transport and for the topology.

Guarantee: connecting and every later wait on the connection are bounded; amqps:// proves who the broker is. Not
guaranteed: that an idle connection still lives (no heartbeats: whoever uses it next finds out).
"""

import socket
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Any
from urllib.parse import unquote, urlsplit

import amqp
from amqp.exceptions import AMQPError, NotFound

EXCHANGE = "orders.exchange"
CONNECT_SECONDS = 3.0
CLOSE_SECONDS = 1.0
# A broker that is not there, refuses, closes or falls silent.
TROUBLE = (AMQPError, OSError)
_PORTS = {"amqp": 5672, "amqps": 5671}


@dataclass(frozen=True, kw_only=True)
class Address:
    """Where the broker is and who asks: `amqp://user:password@host:port/vhost`, amqps:// for TLS."""

    url: str
    # Of the authority that signed the broker's certificate; empty: those that the system trusts.
    ca_file: str = ""


def connect(
    address: Address,
    *,
    within_seconds: float = CONNECT_SECONDS,
    on_blocked: Callable[[str], None] | None = None,
    on_unblocked: Callable[[], None] | None = None,
) -> amqp.Connection:
    """An open connection. Raises one of TROUBLE, ValueError for a URL that is none of RabbitMQ's."""
    connection = amqp.Connection(
        **_parameters(address),
        connect_timeout=within_seconds,
        on_blocked=on_blocked,
        on_unblocked=on_unblocked,
        # py-amqp's own second would end a connection that the broker only blocks.
        socket_settings=_patience(within_seconds),
    )
    connection.connect()
    bound_waits(connection, within_seconds)
    return connection


def bound_waits(connection: amqp.Connection, seconds: float) -> None:
    """From now on no single read or write of this connection waits for longer."""
    connection.transport.sock.settimeout(seconds)


def let_go(connection: amqp.Connection) -> None:
    """Closes in order when the broker answers, and at once when it does not."""
    with suppress(*TROUBLE, AttributeError):
        bound_waits(connection, CLOSE_SECONDS)
        connection.close()
    with suppress(*TROUBLE, AttributeError):
        connection.collect()


def describe(error: BaseException) -> str:
    """What the broker said, or the socket."""
    if isinstance(error, AMQPError) and error.reply_text:
        return str(error.reply_text)
    return str(error) or type(error).__name__


def _parameters(address: Address) -> dict[str, Any]:
    url = urlsplit(address.url)
    if url.scheme not in _PORTS or not url.hostname:
        raise ValueError("The URL of RabbitMQ must read amqp://user:password@host:port/vhost, or amqps:// with TLS.")
    host = f"[{url.hostname}]" if ":" in url.hostname else url.hostname
    return {
        "host": f"{host}:{url.port or _PORTS[url.scheme]}",
        "userid": unquote(url.username or "guest"),
        "password": unquote(url.password or "guest"),
        "virtual_host": unquote(url.path[1:]) or "/",
        "ssl": _tls(url.hostname, address.ca_file) if url.scheme == "amqps" else False,
    }


def _tls(host: str, ca_file: str) -> dict[str, Any]:
    return {"server_hostname": host, "ca_certs": ca_file or None}


def _patience(seconds: float) -> Any:
    """By the number of the socket's option, which not every system has."""
    option = getattr(socket, "TCP_USER_TIMEOUT", None)
    return {option: int(seconds * 1000)} if option else {}


def depth(connection: amqp.Connection, queue: str) -> int | None:
    """How many messages wait in a queue; None when there is no such queue. A passive declaration makes none."""
    # A question that is answered with no ends its channel.
    channel = connection.channel()
    try:
        answer: Any = channel.queue_declare(queue, passive=True)
        return int(answer.message_count)
    except NotFound:
        return None
    finally:
        channel.close()
