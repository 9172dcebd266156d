"""`manage.py breakers`: what it prints, what it does, and the operator act it leaves."""

import json
from io import StringIO

import pytest
from django.contrib.auth.models import User
from django.core.management import CommandError, call_command

from outbox.models import OperatorAct
from providers import selectors
from providers.models import Breaker

pytestmark = pytest.mark.django_db


def run(*words: str) -> str:
    out = StringIO()
    call_command("breakers", *words, stdout=out)
    return out.getvalue()


def acts() -> list[tuple[str, str, str, str]]:
    return list(OperatorAct.objects.values_list("verb", "target_type", "target_id", "reason").order_by("id"))


def test_every_breaker_is_listed_one_that_never_failed_included():
    Breaker.objects.create(provider="payments", state="open", retry_at="2030-01-01T00:00:00Z")
    assert [line.split() for line in run("list").splitlines()] == [
        ["payments", "open"],
        ["shipping", "closed"],
        ["notifications", "closed"],
    ]
    assert json.loads(run("list", "--json"))[0] == {"provider": "payments", "state": "open"}
    assert acts() == []


def test_a_dry_run_says_what_would_be_and_changes_nothing():
    words = ("--provider", "shipping", "--reason", "maintenance", "--dry-run")
    assert run("open", *words) == "shipping: would be open for 600 s.\n"
    assert run("close", *words) == "shipping: would be closed.\n"
    assert selectors.breaker_states()["shipping"] == "closed"
    assert acts() == []


def test_the_act_has_the_name_that_was_given_and_an_unknown_one_is_refused():
    words = ("close", "--provider", "shipping", "--reason", "they are back", "--as")
    with pytest.raises(CommandError, match="--as nobody: there is no such user"):
        run(*words, "nobody")
    assert acts() == []
    run(*words, User.objects.create_user("ann").username)
    assert OperatorAct.objects.get().who.username == "ann"


def test_a_breaker_is_opened_and_closed_by_hand_and_each_leaves_an_operator_act():
    assert run("open", "--provider", "shipping", "--seconds", "60", "--reason", "maintenance") == (
        "shipping: open for 60 s.\n"
    )
    assert selectors.breaker_states()["shipping"] == "open"
    assert run("close", "--provider", "shipping", "--reason", "they are back") == "shipping: closed.\n"
    assert selectors.breaker_states()["shipping"] == "closed"
    assert acts() == [
        ("open", "breaker", "shipping", "maintenance"),
        ("close", "breaker", "shipping", "they are back"),
    ]
    assert OperatorAct.objects.get(verb="open").detail == {"seconds": 60.0}


def test_an_open_breaker_is_tried_by_hand_and_one_that_is_not_open_is_refused():
    with pytest.raises(CommandError, match="is not open"):
        run("try", "--provider", "shipping", "--reason", "they are back")
    assert acts() == []
    run("open", "--provider", "shipping", "--reason", "maintenance")
    assert run("try", "--provider", "shipping", "--reason", "they are back") == (
        "shipping: the next call is a trial.\n"
    )
    assert [verb for verb, *_ in acts()] == ["open", "try"]


@pytest.mark.parametrize(
    "words",
    [
        ["open", "--provider", "shipping", "--reason", " "],
        ["open", "--provider", "shipping", "--reason", "why", "--seconds", "0"],
        ["open", "--provider", "shiping", "--reason", "a typo"],
        ["close", "--provider", "shipping"],
    ],
)
def test_what_is_misspelt_or_without_a_reason_changes_nothing(words):
    with pytest.raises(CommandError):
        run(*words)
    assert selectors.breaker_states()["shipping"] == "closed"
    assert acts() == []
