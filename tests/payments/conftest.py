"""Short limits for calls that are meant to fail, and the sandbox they fail at."""

import pytest

from providers import backend
from providers.gate import gate
from tests.support.published import published
from tests.support.sandbox import sandbox

__all__ = ["published", "sandbox"]

SHORT = {"CONNECT_TIMEOUT_SECONDS": 0.5, "READ_TIMEOUT_SECONDS": 0.5, "TOTAL_DEADLINE_SECONDS": 1.0}


@pytest.fixture
def short_limits(settings):
    settings.PROVIDERS = {name: limits | SHORT for name, limits in settings.PROVIDERS.items()}


@pytest.fixture
def served(settings, sandbox):
    """The service's own gateway, talking to the sandbox of this run."""
    settings.PAYMENT_GATEWAY = settings.PAYMENT_GATEWAY | {"OPTIONS": {"url": sandbox.url, "api_key": "sandbox-key"}}
    backend.forget()
    gate.cache_clear()
    yield sandbox
    backend.forget()
    gate.cache_clear()
