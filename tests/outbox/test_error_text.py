"""Errors that differ only in details are one group; those that say something else are another."""

import pytest

from outbox.error_text import PATTERN_MAX_CHARACTERS, fingerprint_of, one_line, pattern_of

UUIDS = ["01a1f95a-5af0-75b8-a609-0e58f86b53e2", "01a1f95a-5af0-75b8-a609-0e58f86b53e3"]


@pytest.mark.parametrize(
    ("error", "pattern"),
    [
        (f"Hopeless: no such order: {UUIDS[0]}", "Hopeless: no such order: <id>"),
        ("Refused: charge ch_1a2b3c4d of 59.48 EUR", "Refused: charge <id> of <number> EUR"),
        ("TimeoutError: no answer within 12.0 s", "TimeoutError: no answer within <number> s"),
        ("took 1,200ms (90%)", "took <number>ms (<number>%)"),
        ("KeyError: 'orderId'", "KeyError: <value>"),
        ('no such sku: "LAMP"', "no such sku: <value>"),
        ("it doesn't work and can't be", "it doesn't work and can't be"),
        ("object at 0x7f1c2e3d4a50", "object at <address>"),
        ("10.0.0.7:5432 refused", "<address> refused"),
        ("fe80::1 refused", "<address> refused"),
        ("smtp.example.org:587 refused", "<address> refused"),
        ("ann@example.org is unknown", "<address> is unknown"),
        ("GET https://api.example.org/v1/charges?id=7 failed", "GET <address> failed"),
        ("not before 2026-11-20T09:30:00.123Z", "not before <time>"),
        ("not before 2026-11-20 09:30:00+00:00", "not before <time>"),
        ("at 12:30:59 it broke", "at <time> it broke"),
        ("nobody is bound for order.created.v1", "nobody is bound for order.created.v1"),
        ("urllib3 and utf8", "urllib3 and utf8"),
    ],
)
def test_details_are_replaced_and_the_rest_is_kept(error, pattern):
    assert pattern_of(error) == pattern


def test_errors_that_differ_in_details_have_one_fingerprint_and_others_another():
    first, second = (f"no such order: {identity}" for identity in UUIDS)

    assert fingerprint_of(first) == fingerprint_of(second)
    assert fingerprint_of(first) != fingerprint_of(f"no such payment: {UUIDS[0]}")


@pytest.mark.parametrize("times", [1, 2, 5])
def test_however_many_ids_an_error_lists_it_is_the_same_error(times):
    assert fingerprint_of(f"no such order: {', '.join(UUIDS * times)}") == fingerprint_of(f"no such order: {UUIDS[0]}")


def test_where_a_text_was_cut_tells_no_causes_apart():
    cut = [one_line(f"no such order: {', '.join(UUIDS * 40)[skipped:]}") for skipped in (0, 38)]

    assert len(cut[0]) == 1_000
    assert fingerprint_of(cut[0]) == fingerprint_of(cut[1])


def test_what_tells_causes_apart_is_at_the_beginning():
    assert len(pattern_of("word " * 200)) == PATTERN_MAX_CHARACTERS
    assert fingerprint_of("word " * 200) == fingerprint_of("word " * 150)


def test_the_longest_error_of_any_characters_is_read_quickly_and_has_one_line():
    for letter in ("x", "1", "a1", "-", ".", "'", ":", "\n\x00", "\ud800", "a@", "f:"):
        pattern = pattern_of(letter * 1_000)
        assert "\n" not in pattern
        assert len(fingerprint_of(letter * 1_000)) == 12


def test_no_reason_is_a_group_too():
    assert pattern_of("") == ""
    assert len(fingerprint_of("")) == 12


SECRETIVE = "refused <ann@example.org> at smtp://mailer:s3cret-pw@mail.example.org with Bearer sk_live_0123456789"


def test_what_is_stored_names_no_customer_and_opens_nothing():
    stored = one_line(SECRETIVE)

    assert stored == "refused <***> at smtp://mailer:***@mail.example.org with Bearer ***"
    assert one_line(stored) == stored
    assert fingerprint_of(stored) == fingerprint_of(SECRETIVE)
