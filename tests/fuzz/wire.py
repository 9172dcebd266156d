"""One request to the WSGI application, in this process: any method, path, header and bytes that a server lets by."""

import io
import json
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from orders_project.wsgi import application


@dataclass(frozen=True, kw_only=True)
class Request:
    """What is sent. `path` and `query` are bytes as they arrive, the path with its percent escapes undone."""

    method: str
    path: bytes
    query: bytes = b""
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""

    def __str__(self) -> str:
        return (
            f"{self.method} {self.path!r} query={self.query!r} headers={dict(self.headers)!r} body={self.body[:2000]!r}"
        )


@dataclass(frozen=True, kw_only=True)
class Answer:
    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def media_type(self) -> str:
        return self.headers.get("content-type", "").partition(";")[0]

    def json(self) -> Any:
        return json.loads(self.body)


def send(request: Request) -> Answer:
    """As gunicorn calls us: the whole answer is read, and closed."""
    told: list[tuple[str, list[tuple[str, str]]]] = []

    def start_response(status: str, headers: list[tuple[str, str]], exc_info: Any = None) -> Any:
        told.append((status, headers))
        return lambda data: None

    answer = application(_environ(request), start_response)
    try:
        body = b"".join(answer)
    finally:
        answer.close()
    [(status, headers)] = told
    return Answer(status=int(status.split()[0]), headers={name.lower(): value for name, value in headers}, body=body)


def _environ(request: Request) -> dict[str, Any]:
    named = {name.upper().replace("-", "_"): value for name, value in request.headers.items()}
    own: dict[str, Any] = {name: named.pop(name) for name in ("CONTENT_TYPE", "CONTENT_LENGTH") if name in named}
    return {
        "REQUEST_METHOD": request.method,
        "SCRIPT_NAME": "",
        # PEP 3333: bytes as latin-1.
        "PATH_INFO": request.path.decode("latin-1"),
        "QUERY_STRING": request.query.decode("latin-1"),
        "SERVER_NAME": "localhost",
        "SERVER_PORT": "80",
        "SERVER_PROTOCOL": "HTTP/1.1",
        "REMOTE_ADDR": "127.0.0.1",
        "wsgi.version": (1, 0),
        "wsgi.url_scheme": "http",
        "wsgi.input": io.BytesIO(request.body),
        "wsgi.errors": sys.stderr,
        "wsgi.multithread": False,
        "wsgi.multiprocess": False,
        "wsgi.run_once": False,
        "HTTP_HOST": "localhost",
        "CONTENT_LENGTH": str(len(request.body)) if request.body else "",
        **own,
        **{f"HTTP_{name}": value for name, value in named.items()},
    }
