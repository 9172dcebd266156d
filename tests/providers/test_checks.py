"""The system checks of the providers' settings: each wrong relation is named."""

import pytest

from providers.checks import check_providers


def found(settings, **changes) -> list[str | None]:
    settings.PROVIDERS = {"payments": settings.PROVIDERS["payments"] | changes}
    return [message.id for message in check_providers(None)]


def test_the_defaults_are_sound(settings):
    assert check_providers(None) == []


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"READ_TIMEOUT_SECONDS": 13}, ["providers.E002"]),
        ({"CONNECT_TIMEOUT_SECONDS": 0}, ["providers.E002"]),
        ({"IN_FLIGHT_HORIZON_SECONDS": 12}, ["providers.E003"]),
        ({"CALL_SLOTS": 0}, ["providers.E004", "providers.E007"]),
        ({"CALL_SLOTS_MIN": 0}, ["providers.E007"]),
        ({"CALL_SLOTS_MIN": 17}, ["providers.E007"]),
        ({"BREAKER_OPEN_SECONDS": 61}, ["providers.E005"]),
        ({"TOTAL_DEADLINE_SECONDS": 25, "IN_FLIGHT_HORIZON_SECONDS": 30}, ["providers.E006"]),
    ],
)
def test_a_wrong_relation_is_an_error(settings, changes, expected):
    assert found(settings, **changes) == expected


def test_a_misspelt_key_is_an_error_with_a_suggestion(settings):
    settings.PROVIDERS = {"payments": {"CALL_SLOT": 3}}
    [message] = check_providers(None)
    assert (message.id, message.hint) == ("providers.E001", "Did you mean CALL_SLOTS?")
