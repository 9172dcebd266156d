"""What can be wrong with a request to this app; each is a bug or a race of the caller's, never a customer's fault."""


class PaymentError(Exception):
    """Base."""


class LivePaymentExists(PaymentError):
    """An order already has a live payment under another key: a second one is never noted (I3)."""


class KeyReused(PaymentError):
    """A provider key was noted before for something else: one key means one operation (I3)."""


class PaymentUnresolved(PaymentError):
    """A refund was asked for while it is unknown whether there was a charge: ask the provider first (I13)."""
