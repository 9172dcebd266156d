"""Carriers: one module per carrier, chosen by `settings.CARRIER`."""
