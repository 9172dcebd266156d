"""The backend that a setting names, and asking it: the network's side of every participant, no database.

Guarantees that a probe which failed never reads as "nothing happened": whatever keeps the question from being answered
leaves the outcome exactly as unknown as it was (I13).
"""

import json
from collections.abc import Callable, Mapping
from functools import cache
from typing import Any, TypeVar

from django.utils.module_loading import import_string

from providers.errors import OutcomeUnknown, Unavailable

T = TypeVar("T")


def backend(setting: Mapping[str, Any]) -> Any:
    """What `{"BACKEND": dotted path, "OPTIONS": {…}}` names, one per process and setting."""
    return _build(setting["BACKEND"], json.dumps(setting.get("OPTIONS", {})))


def ask(question: Callable[[], T]) -> T:
    """The probe's answer; Unavailable would say "nothing happened", so a probe never raises it."""
    try:
        return question()
    except Unavailable as error:
        raise OutcomeUnknown(
            f"could not be asked: {error.detail}", retry_after_seconds=error.retry_after_seconds
        ) from error


def forget() -> None:
    """Makes every backend anew at its next use: its settings have changed."""
    _build.cache_clear()


@cache
def _build(path: str, options: str) -> Any:
    return import_string(path)(**json.loads(options))
