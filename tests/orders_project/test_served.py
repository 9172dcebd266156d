"""The edge behind the real gunicorn: what a test client cannot send, and figures of more than one process."""

import json
import socket
from urllib.parse import urlsplit

import pytest

MEDIA_TYPE = "application/problem+json"
PATIENCE_SECONDS = 20


def exchange(base_url: str, raw: bytes) -> tuple[int, dict[str, str], bytes]:
    """One answer to bytes of one's own making, on a connection of its own."""
    url = urlsplit(base_url)
    received = b""
    with socket.create_connection((url.hostname, url.port), timeout=PATIENCE_SECONDS) as connection:
        connection.sendall(raw)
        while chunk := connection.recv(65_536):
            received += chunk
    head, _, body = received.partition(b"\r\n\r\n")
    status, *lines = head.decode().split("\r\n")
    headers = dict(line.lower().split(": ", 1) for line in lines)
    return int(status.split()[1]), headers, body


def cut_off(base_url: str, raw: bytes) -> bytes:
    """The answer to a client that stops sending after these bytes."""
    url = urlsplit(base_url)
    with socket.create_connection((url.hostname, url.port), timeout=PATIENCE_SECONDS) as connection:
        connection.sendall(raw)
        connection.shutdown(socket.SHUT_WR)
        received = b""
        while chunk := connection.recv(65_536):
            received += chunk
    return received


def request(token: str, *headers: str) -> bytes:
    lines = ["POST /orders HTTP/1.1", "Host: localhost", f"Authorization: Token {token}", "Connection: close"]
    return ("\r\n".join([*lines, "Content-Type: application/json", *headers]) + "\r\n\r\n").encode()


@pytest.fixture
def web(service):
    service.start("web")
    return service


def test_the_edge_holds_behind_gunicorn(web):
    token = web.tokens["customer"]
    _refuses_a_body_of_unknown_length(web.base_url, token)
    _refuses_an_oversize_body_without_reading_it(web.base_url, token)
    _reads_a_body_that_ends_early_as_malformed(web.base_url, token)
    _takes_no_order_from_half_a_body_that_is_json_too(web.base_url, token)
    _takes_an_order_and_counts_it_over_both_processes(web)


def _refuses_a_body_of_unknown_length(base_url: str, token: str) -> None:
    raw = request(token, "Transfer-Encoding: chunked") + b"2\r\n{}\r\n0\r\n\r\n"
    status, headers, body = exchange(base_url, raw)
    assert (status, headers["content-type"], json.loads(body)["status"]) == (411, MEDIA_TYPE, 411)


def _refuses_an_oversize_body_without_reading_it(base_url: str, token: str) -> None:
    # Nothing of the body is ever sent: an answer proves that nobody waited for it.
    status, headers, _ = exchange(base_url, request(token, "Content-Length: 1000000000"))
    assert (status, headers["content-type"]) == (413, MEDIA_TYPE)


def _reads_a_body_that_ends_early_as_malformed(base_url: str, token: str) -> None:
    answer = cut_off(base_url, request(token, "Content-Length: 100") + b'{"sku"')
    assert b" 400 " in answer.partition(b"\r\n")[0]
    assert MEDIA_TYPE.encode() in answer


def _takes_no_order_from_half_a_body_that_is_json_too(base_url: str, token: str) -> None:
    answer = cut_off(base_url, request(token, "Content-Length: 100") + b'{"sku": "WIDGET", "quantity": 1}')
    assert b" 400 " in answer.partition(b"\r\n")[0]
    assert b"/problems/malformed-request" in answer


def _takes_an_order_and_counts_it_over_both_processes(web) -> None:
    placed = [web.place({"sku": "WIDGET", "quantity": 1}).status_code for _ in range(20)]
    assert placed == [201] * 20
    figures = web.http.get(f"{web.base_url}/metrics", timeout=PATIENCE_SECONDS).text
    counted = 'http_request_seconds_count{method="POST",replay="false",route="/orders",status="201"} 20.0'
    assert counted in figures
    assert "orders_placed_total 20.0" in figures
