"""The one way out of this service over HTTP: bounded in time and size, no redirects, strict JSON, three errors.

Guarantees that a call ends with one JSON object or with exactly one of Refused, Unavailable, OutcomeUnknown, and that
Unavailable and Refused are raised only when nothing happened over there.
Does not guarantee its total deadline against a server that drips its headers byte by byte: the caller keeps that one
(`gate.py` gives the call up). Never touches the database; safe to share between threads.
"""

import re
import time
from collections.abc import Mapping
from http.cookiejar import DefaultCookiePolicy
from typing import Any
from urllib.parse import urlsplit

import requests
import urllib3
from requests.adapters import BaseAdapter, HTTPAdapter

from providers import answers, deadline, tracing
from providers.conf import for_provider
from providers.errors import InFlight, OutcomeUnknown, ProviderError, Refused, Unavailable

OK = (200, 201)
# The provider read the request, understood it and says no.
BUSINESS_REFUSALS = (400, 402, 422)
# The request never got as far as being judged: our credentials, our path, our rate. No customer's order hangs on it.
TURNED_AWAY = (401, 403, 404, 405, 406, 410, 411, 413, 415, 421, 425, 426, 428, 429, 431)
RETRY_AFTER_MAX_SECONDS = 3_600


class ProviderClient:
    """Calls one provider's JSON API with one set of credentials."""

    def __init__(self, *, provider: str, base_url: str, api_key: str, headers: Mapping[str, str] | None = None) -> None:
        self.provider = provider
        self.limits = for_provider(provider)
        self.base_url = base_url.rstrip("/")
        self._address = urlsplit(self.base_url).hostname or ""
        self._session = _session(self.limits.call_slots)
        self._headers = {
            "Authorization": f"Bearer {api_key}",
            "Accept": "application/json",
            "Accept-Encoding": "identity",
            **(headers or {}),
        }

    def request(
        self,
        method: str,
        path: str,
        *,
        json: Mapping[str, Any] | None = None,
        params: Mapping[str, str] | None = None,
        idempotency_key: str | None = None,
    ) -> dict[str, Any]:
        """One call, one parsed object; raises Refused, Unavailable or OutcomeUnknown, and a GET never Refused."""
        extra = {"Idempotency-Key": idempotency_key} if idempotency_key else {}
        with tracing.calling(self.provider, f"{method} {self.provider}", self._told(method, path)) as call:
            headers = self._headers | extra | call.headers()
            request = requests.Request(method, self.base_url + path, json=json, params=params, headers=headers)
            response, body = self._exchange(*self._prepare(request))
            call.answered(response.status_code)
            return read_answer(method, response, body)

    def _told(self, method: str, path: str) -> dict[str, str]:
        """What the call's span tells of it."""
        return {"http.request.method": method, "server.address": self._address, "url.path": path}

    def _prepare(self, request: requests.Request) -> tuple[requests.PreparedRequest, BaseAdapter]:
        """The request as it will be sent, and what sends it; nothing has left this machine yet."""
        try:
            prepared = self._session.prepare_request(request)
            return prepared, self._session.get_adapter(prepared.url or "")
        except ValueError as error:  # an address or header that no request can be made of
            raise Unavailable(f"not sent: {type(error).__name__}") from error

    def _exchange(self, request: requests.PreparedRequest, adapter: BaseAdapter) -> tuple[requests.Response, bytes]:
        """Sends, and reads the whole answer within what is left of the attempt's time.

        By the adapter itself: a session would also take in cookies and look where a redirect leads.
        """
        seconds = self._seconds_left()
        ends_at = time.monotonic() + seconds
        timeout = (min(self.limits.connect_timeout_seconds, seconds), min(self.limits.read_timeout_seconds, seconds))
        try:
            with adapter.send(request, stream=True, timeout=timeout, verify=True) as response:
                body = answers.read_bounded(response, max_bytes=self.limits.answer_max_bytes, deadline=ends_at)
        except (requests.RequestException, urllib3.exceptions.HTTPError, OSError, ValueError) as error:
            raise from_transport(error) from error
        return response, body

    def _seconds_left(self) -> float:
        """This call's own total deadline, or what the calls before it have left of the attempt's."""
        remaining = deadline.remaining()
        if remaining is None:
            return self.limits.total_deadline_seconds
        if remaining <= 0:
            raise OutcomeUnknown("no time left to ask")
        return min(self.limits.total_deadline_seconds, remaining)


def _session(connections: int) -> requests.Session:
    """A session that adds nothing of its own: no proxies or netrc from the environment, no cookies, no retries."""
    session = requests.Session()
    session.trust_env = False
    session.cookies.set_policy(DefaultCookiePolicy(allowed_domains=[]))
    adapter = HTTPAdapter(pool_connections=2, pool_maxsize=connections, max_retries=0)
    session.mount("http://", adapter)
    session.mount("https://", adapter)
    return session


def from_transport(error: Exception) -> ProviderError:
    """Unavailable when there was no connection to send the request over, OutcomeUnknown otherwise."""
    name = type(error).__name__
    if _never_connected(error):
        return Unavailable(f"not sent: {name}")
    return OutcomeUnknown(f"no complete answer: {name}")


def _never_connected(error: Exception) -> bool:
    if isinstance(error, requests.ConnectTimeout):
        return True
    # requests wraps MaxRetryError, which names the connection that could not be made (refused, no route, no such name).
    reason = getattr(error.args[0], "reason", None) if error.args else None
    return isinstance(reason, urllib3.exceptions.NewConnectionError | urllib3.exceptions.ConnectTimeoutError)


def read_answer(method: str, response: requests.Response, body: bytes) -> dict[str, Any]:
    """The answer's object when its status is a success; raises the error its status stands for otherwise."""
    status = response.status_code
    if status in OK:
        if response.headers.get("Content-Type", "").split(";")[0].strip().lower() != "application/json":
            raise OutcomeUnknown("answer is not application/json")
        return answers.parse_object(body)
    if status in TURNED_AWAY:
        raise Unavailable(f"turned away with {status}", retry_after_seconds=_retry_after(response))
    if status == 503 and (seconds := _retry_after(response)) is not None:
        raise Unavailable("unavailable, and says when to come back", retry_after_seconds=seconds)
    if status in BUSINESS_REFUSALS and method != "GET":
        raise _refusal(status, body)
    if status == 409:
        raise InFlight("the key is in use over there")
    # 408, 5xx and redirects: nobody knows.
    raise OutcomeUnknown(f"answered {status}")


def _refusal(status: int, body: bytes) -> ProviderError:
    """Refused with the provider's code. One that talks about the key is no refusal: an earlier call holds it (I13)."""
    error = answers.parse_object(body).get("error")
    code = answers.reason(error if isinstance(error, dict) else {}, "code")
    if code.startswith("idempotency_key"):
        return OutcomeUnknown(f"answered {status} {code}")
    return Refused(code)


def _retry_after(response: requests.Response) -> float | None:
    """Seconds of Retry-After (RFC 9110 10.2.3; its date form is not used by APIs and is ignored), bounded."""
    value = response.headers.get("Retry-After", "")
    return float(min(int(value), RETRY_AFTER_MAX_SECONDS)) if re.fullmatch(r"[0-9]{1,9}", value) else None
