"""What a call to somebody else's API can come to, when it does not come to an answer.

    ProviderError
    ├── Refused         the provider understood and said no; asking again changes nothing: compensate
    ├── Unavailable     nothing happened over there: the same call may simply be made again, later
    └── OutcomeUnknown  it may or may not have happened: ask (probe) before anything else (I13)
        └── InFlight    an earlier call with this key still runs over there; the provider itself is well

Exactly one of the three, for every failure of every gateway: the conformance suites prove it. In doubt an error is
OutcomeUnknown, the only one of the three that is never wrong.
"""


class ProviderError(Exception):
    """Base of the three. `detail` is for people and logs; it never holds credentials or a whole answer."""

    def __init__(self, detail: str = "", *, retry_after_seconds: float | None = None) -> None:
        super().__init__(detail)
        self.detail = detail
        self.retry_after_seconds = retry_after_seconds


class Refused(ProviderError):
    """The provider's business answer is no; `reason` is its code, in lower case ("card_declined")."""

    def __init__(self, reason: str, detail: str = "") -> None:
        super().__init__(detail or reason)
        self.reason = reason


class Unavailable(ProviderError):
    """Nothing happened: never connected, turned away, or our own credentials are wrong."""


class OutcomeUnknown(ProviderError):
    """A timeout, a cut, a crash over there or a nonsense answer: it may have happened."""


class InFlight(OutcomeUnknown):
    """The key is in use over there: about this one operation nothing is known yet, the provider is well."""
