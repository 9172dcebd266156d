"""The HTTP client: one object, or exactly one of the three errors."""

import time

import pytest
import requests
import urllib3

from providers import deadline
from providers.client import ProviderClient, from_transport
from providers.errors import OutcomeUnknown, ProviderError, Refused, Unavailable

pytestmark = pytest.mark.usefixtures("limits")
SECRET = "sk-very-secret"


def reply(status: str, body: bytes = b"{}", *headers: str, content_type: str = "application/json") -> bytes:
    lines = [f"HTTP/1.1 {status}", f"Content-Type: {content_type}", "Connection: close", *headers]
    if not any(header.startswith(("Content-Length", "Transfer-Encoding")) for header in headers):
        lines.append(f"Content-Length: {len(body)}")
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


def error(code: str) -> bytes:
    return b'{"error": {"code": "%s"}}' % code.encode()


def call(server, raw: bytes, method: str = "POST"):
    server.replies = [raw]
    client = ProviderClient(provider="payments", base_url=server.url, api_key=SECRET)
    return client.request(method, "/things", json={"a": 1} if method == "POST" else None, idempotency_key="k1")


def test_an_object_with_status_200_or_201_is_the_answer(server):
    assert call(server, reply("200 OK", b'{"id": "x"}')) == {"id": "x"}
    assert call(server, reply("201 Created", b'{"id": "y"}')) == {"id": "y"}


def test_a_chunked_answer_is_read_like_any_other(server):
    chunked = b'9\r\n{"id": "x\r\n2\r\n"}\r\n0\r\n\r\n'
    assert call(server, reply("200 OK", chunked, "Transfer-Encoding: chunked")) == {"id": "x"}


def test_key_and_credentials_travel_in_headers_and_nothing_of_the_environment_does(server, monkeypatch, tmp_path):
    netrc = tmp_path / "netrc"
    netrc.write_text("machine 127.0.0.1 login somebody password else")
    monkeypatch.setenv("NETRC", str(netrc))
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1")
    call(server, reply("200 OK"))
    sent = server.requests[0].decode()
    assert f"Authorization: Bearer {SECRET}\r\n" in sent
    assert "Idempotency-Key: k1\r\n" in sent
    assert "Accept-Encoding: identity\r\n" in sent
    assert sent.endswith('{"a": 1}')


def test_a_cookie_is_never_sent_back(server):
    server.replies = [reply("200 OK", b"{}", "Set-Cookie: session=1")] * 2
    client = ProviderClient(provider="payments", base_url=server.url, api_key=SECRET)
    client.request("GET", "/things")
    client.request("GET", "/things")
    assert len(server.requests) == 2
    assert b"Cookie" not in server.requests[1]


@pytest.mark.parametrize("status", ["301 Moved", "302 Found", "303 See Other", "307 Temporary", "308 Permanent"])
def test_a_redirect_is_not_followed_and_leaves_the_outcome_unknown(server, status):
    with pytest.raises(OutcomeUnknown):
        call(server, reply(status, b"{}", f"Location: {server.url}/elsewhere"))
    assert len(server.requests) == 1


@pytest.mark.parametrize("status", ["400 Bad", "402 Pay", "422 No"])
def test_a_business_refusal_carries_the_providers_code(server, status):
    with pytest.raises(Refused) as raised:
        call(server, reply(status, error("card_declined")))
    assert raised.value.reason == "card_declined"


@pytest.mark.parametrize("status", ["400 Bad", "402 Pay", "422 No"])
def test_a_question_is_never_refused(server, status):
    with pytest.raises(OutcomeUnknown):
        call(server, reply(status, error("card_declined")), "GET")


@pytest.mark.parametrize(
    "body",
    [
        b"<html>",
        b"{}",
        b'{"error": "declined"}',
        error(""),
        error("Card Declined"),
        error("x" * 65),
        error("idempotency_key_reused"),
        b'{"error": {"code": 7}}',
    ],
)
def test_a_refusal_without_a_business_reason_leaves_the_outcome_unknown(server, body):
    with pytest.raises(OutcomeUnknown):
        call(server, reply("422 No", body))


@pytest.mark.parametrize("status", ["401 Who", "403 No", "404 Where", "405 How", "415 What", "429 Slow"])
def test_our_own_misconfiguration_rejects_no_order(server, status):
    with pytest.raises(Unavailable):
        call(server, reply(status, error("card_declined")))


@pytest.mark.parametrize(
    ("header", "seconds"),
    [("7", 7.0), ("999999999", 3600.0), ("-1", None), ("1.5", None), ("soon", None), ("٣", None)],
)
def test_retry_after_is_seconds_within_bounds_or_nothing(server, header, seconds):
    raw = reply("429 Slow", b"{}", "Retry-After: HERE").replace(b"HERE", header.encode())
    with pytest.raises(Unavailable) as raised:
        call(server, raw)
    assert raised.value.retry_after_seconds == seconds


def test_a_503_is_unavailable_only_when_it_says_when_to_come_back(server):
    with pytest.raises(Unavailable):
        call(server, reply("503 Later", b"", "Retry-After: 2"))
    with pytest.raises(OutcomeUnknown):
        call(server, reply("503 Later", b""))


NONSENSE = {
    "a cut before the status": b"",
    "a cut in the headers": b"HTTP/1.1 200 OK\r\nContent-Le",
    "a cut in the body": reply("200 OK", b'{"id"', "Content-Length: 100"),
    "a cut in a chunk": reply("200 OK", b'9\r\n{"id', "Transfer-Encoding: chunked"),
    "not HTTP at all": b"SSH-2.0-OpenSSH_9.2\r\n",
    "HTML": reply("200 OK", b"<html></html>", content_type="text/html"),
    "JSON called text": reply("200 OK", b"{}", content_type="text/plain"),
    "an empty body": reply("200 OK", b""),
    "no content": reply("204 No Content", b""),
    "accepted for later": reply("202 Accepted"),
    "a list": reply("200 OK", b"[]"),
    "a string": reply("200 OK", b'"yes"'),
    "duplicate keys": reply("200 OK", b'{"id": "a", "id": "b"}'),
    "NaN": reply("200 OK", b'{"id": NaN}'),
    "bad UTF-8": reply("200 OK", b'{"id": "\xff"}'),
    "too deep": reply("200 OK", b'{"a":' * 190 + b"1" + b"}" * 50),
    "too large": reply("200 OK", b"{" + b" " * 2_000 + b"}"),
    "too large without saying so": reply(
        "200 OK", b"7D0\r\n" + b" " * 2_000 + b"\r\n0\r\n\r\n", "Transfer-Encoding: chunked"
    ),
    "a declared length of nonsense": reply("200 OK", b"{}", "Content-Length: many"),
    "two lengths in one": reply("200 OK", b"{}", "Content-Length: 2, 3"),
    "two lengths": reply("200 OK", b"{}", "Content-Length: 2", "Content-Length: 9"),
    "a length of 5,000 digits": reply("200 OK", b"{}", "Content-Length: " + "9" * 5_000),
    "a redirect to no address": reply("301 Moved", b"{}", "Location: http://[bad"),
    "a redirect to bad UTF-8": reply("301 Moved", b"{}", "Location: HERE").replace(b"HERE", b"\xff\xfe"),
    "a compressed body": reply("200 OK", b"{}", "Content-Encoding: gzip"),
    "a conflict": reply("409 Conflict", error("idempotency_key_in_use")),
    "a timeout over there": reply("408 Timeout", error("card_declined")),
    "an internal error": reply("500 Oops", error("card_declined")),
    "a gateway timeout": reply("504 Timeout"),
}


@pytest.mark.parametrize("method", ["POST", "GET"])
@pytest.mark.parametrize("raw", NONSENSE.values(), ids=NONSENSE.keys())
def test_what_cannot_be_read_leaves_the_outcome_unknown(server, raw, method):
    with pytest.raises(OutcomeUnknown):
        call(server, raw, method)


def test_a_body_that_drips_past_the_total_deadline_leaves_the_outcome_unknown(server):
    # Each byte comes within the read timeout, so only the total deadline can end it: 500 bytes take 10 s.
    server.drip_seconds = 0.02
    with pytest.raises(OutcomeUnknown, match="total deadline"):
        call(server, reply("200 OK", b'{"id": "x"}' + b" " * 500))


def test_two_calls_of_one_attempt_share_its_deadline(server):
    server.drip_seconds = 0.02  # alone, each call would have 1 s
    client = ProviderClient(provider="payments", base_url=server.url, api_key=SECRET)
    with deadline.ends_at(time.monotonic() + 0.3):
        server.replies = [reply("200 OK", b'{"id": "x"}' + b" " * 500)]
        with pytest.raises(OutcomeUnknown, match="total deadline"):
            client.request("GET", "/things")
        with pytest.raises(OutcomeUnknown, match="no time left"):
            client.request("POST", "/things", json={})
    assert len(server.requests) == 1


def test_the_timeouts_of_a_call_are_cut_to_what_is_left(server, monkeypatch):
    given: list[tuple[float, float]] = []

    def send(adapter, request, **options):
        given.append(options["timeout"])
        raise requests.ReadTimeout

    monkeypatch.setattr("requests.adapters.HTTPAdapter.send", send)
    client = ProviderClient(provider="payments", base_url=server.url, api_key=SECRET)
    with deadline.ends_at(time.monotonic() + 0.4), pytest.raises(OutcomeUnknown):
        client.request("GET", "/things")
    with pytest.raises(OutcomeUnknown):
        client.request("GET", "/things")
    assert max(given[0]) <= 0.4
    assert given[1] == (0.5, 0.5)


@pytest.mark.parametrize("url", ["http://127.0.0.1:1", "http://no-such-host.invalid", "nonsense://x", "http://"])
def test_what_never_left_this_machine_is_unavailable(url):
    with pytest.raises(Unavailable):
        ProviderClient(provider="payments", base_url=url, api_key=SECRET).request("POST", "/things", json={})


def test_an_idempotency_key_that_breaks_the_header_is_never_sent(server):
    client = ProviderClient(provider="payments", base_url=server.url, api_key=SECRET)
    with pytest.raises(Unavailable):
        client.request("POST", "/things", json={}, idempotency_key="a\r\nX-Evil: 1")
    assert server.requests == []


def test_no_error_tells_the_credentials(server):
    for raw in (*NONSENSE.values(), reply("401 Who"), reply("422 No", error("no"))):
        with pytest.raises(ProviderError) as raised:
            call(server, raw)
        assert SECRET not in repr(raised.value)


def _errors(base: type[Exception]) -> set[type[Exception]]:
    return {base}.union(*(_errors(sub) for sub in base.__subclasses__()))


def test_every_error_of_the_transport_maps_to_exactly_one_of_two():
    """Only what had no connection is Unavailable; a kind of error that requests adds tomorrow is unknown."""
    kinds = _errors(requests.RequestException) | _errors(ValueError) | _errors(OSError)
    mapped = {kind: type(from_transport(kind.__new__(kind))) for kind in kinds}
    assert {kind for kind, error in mapped.items() if error is not OutcomeUnknown} == {requests.ConnectTimeout}
    assert mapped[requests.ConnectTimeout] is Unavailable


@pytest.mark.parametrize(
    ("reason", "kind"),
    [
        (urllib3.exceptions.NewConnectionError, Unavailable),
        (urllib3.exceptions.NameResolutionError, Unavailable),
        (urllib3.exceptions.ConnectTimeoutError, Unavailable),
        (urllib3.exceptions.ProtocolError, OutcomeUnknown),
        (urllib3.exceptions.ReadTimeoutError, OutcomeUnknown),
        (urllib3.exceptions.SSLError, OutcomeUnknown),
        (urllib3.exceptions.ProxyError, OutcomeUnknown),
    ],
)
def test_a_connection_error_is_unavailable_only_when_there_was_no_connection(reason, kind):
    pool = urllib3.HTTPConnectionPool("127.0.0.1")
    error = requests.ConnectionError(urllib3.exceptions.MaxRetryError(pool, "/", reason.__new__(reason)))
    assert type(from_transport(error)) is kind
