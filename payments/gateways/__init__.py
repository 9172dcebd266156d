"""Gateways: one module per payment provider, chosen by `settings.PAYMENT_GATEWAY`."""
