"""The service's settings with providers that are given up soon: for a late success that a test can wait for."""

from orders_project.settings import *  # noqa: F403 - settings are one namespace
from orders_project.settings import PROVIDERS as LONG

PROVIDERS = {
    name: limits
    | {
        "CONNECT_TIMEOUT_SECONDS": 1.0,
        "READ_TIMEOUT_SECONDS": 2.0,
        "TOTAL_DEADLINE_SECONDS": 2.0,
        "IN_FLIGHT_HORIZON_SECONDS": 4.0,
    }
    for name, limits in LONG.items()
}
