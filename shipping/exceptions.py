"""What can be wrong with a request to this app; each is a bug or a race of the caller's, never a customer's fault."""


class ShippingError(Exception):
    """Base."""


class LiveShipmentExists(ShippingError):
    """An order already has a live shipment under another key: a second one is never noted."""


class KeyReused(ShippingError):
    """A provider key was noted before for something else: one key means one operation."""


class ShipmentUnresolved(ShippingError):
    """A cancellation was asked for while it is unknown whether there is a shipment: ask the carrier first (I13)."""
