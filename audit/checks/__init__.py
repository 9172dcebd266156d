"""All checks, by subject."""

from collections.abc import Sequence

from audit.check import Check

from . import compensation, handled, keys, messages, money, orders, parcels, progress, sagas, stock

CHECKS: Sequence[Check] = (
    *orders.CHECKS,
    *keys.CHECKS,
    *money.CHECKS,
    *stock.CHECKS,
    *parcels.CHECKS,
    *messages.CHECKS,
    *handled.CHECKS,
    *sagas.CHECKS,
    *progress.CHECKS,
    *compensation.CHECKS,
)
