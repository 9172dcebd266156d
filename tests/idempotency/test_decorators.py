"""One execution per caller, route and key; every repetition gets the same bytes (I2)."""

from datetime import timedelta

import pytest
from django.contrib.auth.models import Group
from django.utils import timezone
from rest_framework.test import APIClient

from idempotency import telemetry
from idempotency.models import IdempotencyKey
from tests.idempotency import echo

pytestmark = pytest.mark.django_db(transaction=True)

BODY = {"say": "hello"}


def post(
    client: APIClient, key: str | None = "k1", body: object = None, *, path: str = "/echo/x", method: str = "post"
):
    headers = {} if key is None else {"Idempotency-Key": key}
    return getattr(client, method)(path, BODY if body is None else body, format="json", headers=headers)


def test_a_repetition_gets_the_same_bytes_and_location_and_does_nothing(ann: APIClient):
    """S2: the replay carries Location too."""
    replays = telemetry.IDEMPOTENCY_REPLAYS._value.get()
    first, second = post(ann), post(ann)

    assert (first.status_code, second.status_code) == (201, 201)
    assert first.content == second.content
    assert first["Location"] == second["Location"] == "/echo/1"
    assert first["Content-Type"] == second["Content-Type"] == "application/json"
    assert second["Idempotent-Replay"] == second["Idempotent-Replayed"] == "true"
    assert "Idempotent-Replay" not in first
    assert "Idempotent-Replayed" not in first
    assert echo.runs == 1
    assert Group.objects.count() == 1
    assert IdempotencyKey.objects.count() == 1
    assert telemetry.IDEMPOTENCY_REPLAYS._value.get() == replays + 1


def test_only_the_allowed_headers_are_stored(ann: APIClient):
    post(ann)
    stored = IdempotencyKey.objects.get()
    assert set(stored.headers) == {"Content-Type", "Location"}
    replay = post(ann)
    assert "Set-Cookie" not in replay
    assert "X-Other" not in replay


def test_quotes_make_no_other_key(ann: APIClient):
    assert post(ann, "k1").content == post(ann, '"k1"').content
    assert echo.runs == 1


def test_another_callers_same_key_is_another_key(ann: APIClient, bob: APIClient):
    """S4: never the first user's answer."""
    mine, theirs = post(ann), post(bob)
    assert mine.content != theirs.content
    assert "Idempotent-Replay" not in theirs
    assert echo.runs == 2


def test_another_route_or_method_is_another_use(ann: APIClient):
    answers = [post(ann), post(ann, path="/echo/y"), post(ann, method="put"), post(ann, method="patch")]
    assert len({answer.content for answer in answers}) == 4
    assert echo.runs == 4


def test_another_body_is_a_422_and_does_nothing(ann: APIClient):
    """S4: the body is compared."""
    conflicts = telemetry.IDEMPOTENCY_CONFLICTS._value.get()
    post(ann)
    other = post(ann, body={"say": "goodbye"})
    assert other.status_code == 422
    assert other.json()["type"].endswith("/idempotency-key-reused")
    assert echo.runs == 1
    assert telemetry.IDEMPOTENCY_CONFLICTS._value.get() == conflicts + 1


def test_white_space_and_the_order_of_names_make_no_other_body(ann: APIClient):
    def send(text: str):
        return ann.post("/echo/x", text, content_type="application/json", headers={"Idempotency-Key": "k1"})

    first = send('{"a":1,"b":2}')
    second = send('{ "b": 2,\n "a": 1 }')
    assert first.content == second.content
    assert echo.runs == 1


@pytest.mark.parametrize("status", [400, 404, 409, 500, 503, 304])
def test_an_answer_that_is_no_success_undoes_everything_and_is_not_stored(ann: APIClient, status: int):
    first = post(ann, body={"status": status})
    assert first.status_code == status
    assert not Group.objects.exists()
    assert not IdempotencyKey.objects.exists()
    post(ann, body={"status": status})
    assert echo.runs == 2


def test_a_view_that_raises_leaves_nothing(ann: APIClient, monkeypatch: pytest.MonkeyPatch):
    """S3, I1: between the effect and the answer."""
    monkeypatch.setattr(echo, "inside", lambda: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        post(ann)
    assert not Group.objects.exists()
    assert not IdempotencyKey.objects.exists()

    monkeypatch.setattr(echo, "inside", lambda: None)
    assert post(ann).status_code == 201
    assert Group.objects.count() == 1


def test_without_a_key_each_request_runs_and_nothing_is_stored(ann: APIClient):
    assert post(ann, None).content != post(ann, None).content
    assert echo.runs == 2
    assert not IdempotencyKey.objects.exists()


def test_without_a_key_it_is_one_transaction_too(ann: APIClient, monkeypatch: pytest.MonkeyPatch):
    assert post(ann, None, {"status": 500}).status_code == 500
    monkeypatch.setattr(echo, "inside", lambda: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        post(ann, None)
    assert echo.runs == 2
    assert not Group.objects.exists()


def test_a_view_may_require_a_key(ann: APIClient, settings):
    settings.IDEMPOTENCY = {**settings.IDEMPOTENCY, "REQUIRED": True}
    answer = post(ann, None)
    assert answer.status_code == 400
    assert answer.json()["type"].endswith("/idempotency-key-missing")
    assert echo.runs == 0


@pytest.mark.parametrize("key", ["", " ", '""', "a" * 256, '"a'])
def test_an_invalid_key_is_a_400_and_does_nothing(ann: APIClient, key: str):
    answer = post(ann, key)
    assert answer.status_code == 400
    assert answer.json()["type"].endswith("/idempotency-key-invalid")
    assert echo.runs == 0


def test_an_anonymous_caller_is_refused_before_any_key_is_looked_at(ann: APIClient):
    post(ann)
    answer = post(APIClient())
    assert answer.status_code == 401
    assert echo.runs == 1
    assert IdempotencyKey.objects.count() == 1


def test_a_caller_who_may_no_longer_do_it_gets_no_replay(ann: APIClient, monkeypatch: pytest.MonkeyPatch):
    """Authorisation comes before replay."""
    post(ann)
    monkeypatch.setattr("tests.idempotency.echo.IsAuthenticated.has_permission", lambda *_: False)
    assert post(ann).status_code == 403


def test_an_expired_key_is_taken_over_in_place(ann: APIClient):
    first = post(ann)
    _expire()
    second = post(ann, body={"say": "something else"})
    assert second.status_code == 201
    assert second.content != first.content
    assert "Idempotent-Replay" not in second
    assert echo.runs == 2
    assert IdempotencyKey.objects.count() == 1
    assert post(ann, body={"say": "something else"}).content == second.content


def test_a_take_over_that_fails_leaves_the_expired_row_as_it_was(ann: APIClient, monkeypatch: pytest.MonkeyPatch):
    post(ann)
    _expire()
    before = IdempotencyKey.objects.values().get()
    monkeypatch.setattr(echo, "inside", lambda: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        post(ann)
    assert IdempotencyKey.objects.values().get() == before


def test_the_browsable_page_is_not_what_is_stored(ann: APIClient):
    page = ann.post("/echo/x", BODY, format="json", headers={"Idempotency-Key": "k1", "Accept": "text/html"})
    assert page["Content-Type"].startswith("text/html")
    replay = post(ann)
    assert replay["Content-Type"] == "application/json"
    assert replay.json() == {"id": 1, "name": "x"}
    assert echo.runs == 1


def test_an_answer_beyond_the_limit_is_an_error_and_undoes_everything(ann: APIClient, settings):
    settings.IDEMPOTENCY = {**settings.IDEMPOTENCY, "STORED_ANSWER_MAX_BYTES": 5}
    with pytest.raises(RuntimeError, match="bytes"):
        post(ann)
    assert not Group.objects.exists()


def test_an_unparseable_body_claims_nothing(ann: APIClient):
    answer = ann.post("/echo/x", "{", content_type="application/json", headers={"Idempotency-Key": "k1"})
    assert answer.status_code == 400
    assert not IdempotencyKey.objects.exists()


def test_the_life_of_a_key_is_the_setting(ann: APIClient, settings):
    settings.IDEMPOTENCY = {**settings.IDEMPOTENCY, "LIFETIME_HOURS": 2}
    post(ann)
    use = IdempotencyKey.objects.get()
    assert use.expires_at - use.created_at == timedelta(hours=2)


def _expire() -> None:
    past = timezone.now() - timedelta(days=1)
    IdempotencyKey.objects.update(created_at=past - timedelta(days=1), expires_at=past)
