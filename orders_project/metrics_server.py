"""`/metrics` on an address of its own: how relay, workers and beat are scraped, which serve nothing else.

Guarantee: with METRICS_BIND set, every process of the service that may listen there does, and whichever is asked
answers for all that share PROMETHEUS_MULTIPROC_DIR; one that ends leaves the address to the others. What goes wrong
here is logged and ends no process. Not guaranteed: that a stranger is refused; who reaches the address may read it, so
it must be one that only the scraper reaches.
"""

import socket
import sys
import threading
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler
from socketserver import TCPServer
from urllib.parse import urlsplit

import structlog
from django.conf import settings
from django.db import connection
from prometheus_client import CONTENT_TYPE_PLAIN_0_0_4

from orders_project import metrics

logger = structlog.get_logger(__name__)

# One scrape after the other: a client that says nothing must not keep the next one waiting for long.
CLIENT_SECONDS = 5


def parse(bind: str) -> tuple[str, int]:
    """Host and port of `host:port`, `[::1]:port` or `:port` (every address). Raises ValueError."""
    url = urlsplit(f"//{bind}")
    if url.port is None or url.path or url.query or url.username is not None:
        raise ValueError("METRICS_BIND must read host:port.")
    return url.hostname or "", url.port


def start() -> None:
    """Serves from a thread of its own until the process ends; does nothing without METRICS_BIND."""
    if not settings.METRICS_BIND:
        return
    try:
        server = make_server(settings.METRICS_BIND)
    except (OSError, ValueError) as error:
        # Whoever works and cannot be scraped is better than whoever does not work.
        logger.error("metrics_not_served", bind=settings.METRICS_BIND, error=str(error))
        return
    threading.Thread(target=server.serve_forever, name="metrics-server", daemon=True).start()


def make_server(bind: str) -> TCPServer:
    host, port = parse(bind)
    return _IPv6Server((host, port), _Answer) if ":" in host else _Server((host, port), _Answer)


class _Server(TCPServer):
    """Not http.server's own, which asks a name server for its name before it listens."""

    # The processes of one container or machine share the address; the system hands each connection to one of them.
    allow_reuse_address = allow_reuse_port = True

    def handle_error(self, request: object, client_address: object) -> None:
        """One line instead of a traceback: mostly a scraper that waited no longer."""
        logger.warning("metrics_client_left", error=repr(sys.exception()))


class _IPv6Server(_Server):
    address_family = socket.AF_INET6


class _Answer(BaseHTTPRequestHandler):
    timeout = CLIENT_SECONDS
    server_version = "orders"
    sys_version = ""

    def do_GET(self) -> None:
        if urlsplit(self.path).path != "/metrics":
            self.send_error(HTTPStatus.NOT_FOUND)
            return
        try:
            body = metrics.exposition()
        except Exception:
            logger.exception("metrics_scrape_failed")
            self.send_error(HTTPStatus.INTERNAL_SERVER_ERROR)
            return
        finally:
            # Kept, it would cost every process one connection that works for a moment in a quarter of a minute.
            connection.close()
        self.send_response(HTTPStatus.OK)
        self.send_header("Content-Type", CONTENT_TYPE_PLAIN_0_0_4)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the name that http.server gives it
        """A scrape every few seconds is no event."""
