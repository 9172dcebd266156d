"""Logs: one line per event, ids of the context, nothing personal."""

import io
import json
import logging

import pytest
import structlog
from django.test import RequestFactory

from orders_project import logs
from outbox.masking import in_prose


@pytest.fixture
def _json(settings):
    settings.LOG_FORMAT = "json"
    settings.LOG_LEVEL = "INFO"


@pytest.fixture
def lines(request):
    """Configures the logs as a process does, and reads what it writes."""
    root = logging.getLogger()
    before = (root.handlers[:], root.level, structlog.get_config())
    logs.configure()
    stream = io.StringIO()
    for handler in root.handlers:
        if isinstance(handler, logging.StreamHandler) and handler not in before[0]:
            handler.setStream(stream)
    yield lambda: stream.getvalue().splitlines()
    root.handlers, root.level = before[0], before[1]
    structlog.configure(**before[2])


@pytest.mark.usefixtures("_json")
def test_an_event_is_one_json_line_with_the_ids_of_its_context(lines):
    with logs.bound(order_id="o-1", message_id="m-1"):
        structlog.get_logger("orders").info("order_placed", total="29.97")
    structlog.get_logger("orders").info("after")
    first, second = map(json.loads, lines())
    assert {k: first[k] for k in ("event", "order_id", "message_id", "total", "level", "logger")} == {
        "event": "order_placed",
        "order_id": "o-1",
        "message_id": "m-1",
        "total": "29.97",
        "level": "info",
        "logger": "orders",
    }
    assert first["timestamp"].endswith("Z")
    assert "order_id" not in second


@pytest.mark.usefixtures("_json")
def test_the_standard_library_writes_the_same_lines(lines):
    with logs.bound(request_id="r-1"):
        logging.getLogger("django").warning(
            "slow %s", "query", extra={"seconds": 3, "request": RequestFactory().get("/")}
        )
    (line,) = map(json.loads, lines())
    assert (line["event"], line["request_id"], line["seconds"]) == ("slow query", "r-1", 3)
    assert "request" not in line


@pytest.mark.usefixtures("_json")
def test_a_traceback_stays_in_its_line(lines):
    try:
        raise ValueError("customer ada@example.com")
    except ValueError:
        logging.getLogger("orders").exception("failed")
    (line,) = map(json.loads, lines())
    assert "ValueError" in line["exception"]
    assert "ada@example.com" not in line["exception"]


@pytest.mark.parametrize("log_format", ["json", "console"])
def test_a_line_break_in_a_value_cannot_forge_a_line(settings, log_format, request):
    settings.LOG_FORMAT = log_format
    lines = request.getfixturevalue("lines")
    logging.getLogger("orders").warning("a\r\nforged\u2028line \x1b[31m", extra={"path": "/x\nforged"})
    (line,) = lines()
    assert "\x1b[31m" not in line.replace("\x1b[0m", "")
    assert "\\\\r\\\\n" in line or "\\r\\n" in line


@pytest.mark.parametrize(
    ("text", "masked"),
    [
        ("mail ada.l+x@mail.example.com now", "mail *** now"),
        ("Authorization: Token 9944b09199c62bcf9418ad846dd0e4bb", "Authorization: Token ***"),
        ("bearer abc.def-ghi", "bearer ***"),
        ("postgres://orders:hunter2@db/orders", "postgres://orders:***@db/orders"),
        ("redis://:hunter2@cache/0", "redis://:***@cache/0"),
        ("a token of thanks", "a token of thanks"),
        ("the payment token expired", "the payment token expired"),
        ("invalid token format, basic validation", "invalid token format, basic validation"),
        ("token tok_9f3k refused", "token *** refused"),
        ("Basic dXNlcjpwYXNzd29yZA== refused", "Basic *** refused"),
        ("order 0190 at 9:30", "order 0190 at 9:30"),
    ],
)
def test_personal_data_and_secrets_are_masked(text, masked):
    assert in_prose(text) == masked


@pytest.mark.usefixtures("_json")
def test_a_value_whose_name_tells_a_secret_is_masked_at_any_depth(lines):
    structlog.get_logger("x").info(
        "sent", headers={"Authorization": "x", "Accept": "y"}, api_key="k", customer_email="e", kept=[1, "a@b.co"]
    )
    (line,) = map(json.loads, lines())
    assert (line["headers"], line["api_key"], line["customer_email"], line["kept"]) == (
        {"Authorization": "***", "Accept": "y"},
        "***",
        "***",
        [1, "***"],
    )


def test_celery_leaves_the_logs_alone():
    from celery import signals

    assert logs.configure_for_celery in [receiver for _, receiver in signals.setup_logging.receivers]
