"""The table of problem types (RFC 9457): one row per `type`, with its constant status and title.

Guarantee: every error answer of the API names a row of this table, and `docs/problems.md` describes each row (a test
compares the two). It does not guarantee a `detail`: that is written for people where the error happens.
"""

from dataclasses import dataclass
from typing import Final

# A path of this service: `type` resolves against the answer's own address, on every host and offline.
TYPE_PREFIX: Final = "/problems/"


@dataclass(frozen=True, kw_only=True)
class ProblemType:
    """One kind of error: `title` and `status` never vary between its occurrences."""

    slug: str
    status: int
    title: str
    meaning: str

    @property
    def uri(self) -> str:
        return f"{TYPE_PREFIX}{self.slug}"


def _table(*rows: tuple[str, int, str, str]) -> dict[str, ProblemType]:
    return {row[0]: ProblemType(slug=row[0], status=row[1], title=row[2], meaning=row[3]) for row in rows}


TYPES: Final = _table(
    ("malformed-request", 400, "Malformed request", "Not a request as it should be: its Host, length or form."),
    ("malformed-body", 400, "Malformed body", "The body is not the strict JSON this API reads."),
    ("invalid-request", 400, "Invalid request", "The request was read, but its values are not acceptable: see errors."),
    ("idempotency-key-missing", 400, "Idempotency-Key missing", "Send an Idempotency-Key header: this route needs it."),
    ("idempotency-key-invalid", 400, "Idempotency-Key invalid", "Send 1 to 255 printable characters, quoted or bare."),
    ("webhook-signature-invalid", 400, "Webhook signature invalid", "The signature or its timestamp does not hold."),
    ("not-authenticated", 401, "Not authenticated", "Send a valid token or session."),
    ("permission-denied", 403, "Permission denied", "You are known, and may not do this."),
    ("not-found", 404, "Not found", "There is nothing here, or nothing this caller may see."),
    ("method-not-allowed", 405, "Method not allowed", "The Allow header lists the methods of this address."),
    ("not-acceptable", 406, "Not acceptable", "Accept names no format we answer in: application/json."),
    ("conflict", 409, "Conflict", "The request contradicts what is already stored."),
    ("idempotency-key-in-use", 409, "Idempotency-Key in use", "It still runs: repeat this one after Retry-After."),
    ("order-already-ended", 409, "Order already ended", "It can no longer change. Read the order to see its end."),
    ("price-changed", 409, "Price changed", "The expected price is not the catalogue's: ask for the price again."),
    ("length-required", 411, "Length required", "Send the body with a Content-Length."),
    ("body-too-large", 413, "Body too large", "The body is larger than this API reads."),
    ("unsupported-media-type", 415, "Unsupported media type", "Send application/json in UTF-8, without encoding."),
    ("idempotency-key-reused", 422, "Idempotency-Key reused", "This key was used with another body: use a new key."),
    ("too-many-requests", 429, "Too many requests", "Wait for Retry-After seconds, then go on."),
    ("internal-error", 500, "Internal error", "A bug on our side, logged under the X-Request-ID: tell us that."),
    ("service-unavailable", 503, "Service unavailable", "The database cannot answer now: retry after Retry-After."),
    ("outcome-unknown", 503, "Outcome unknown", "It may have happened: repeat with the same Idempotency-Key."),
)

BY_STATUS: Final = {
    400: TYPES["invalid-request"],
    401: TYPES["not-authenticated"],
    403: TYPES["permission-denied"],
    404: TYPES["not-found"],
    405: TYPES["method-not-allowed"],
    406: TYPES["not-acceptable"],
    409: TYPES["conflict"],
    411: TYPES["length-required"],
    413: TYPES["body-too-large"],
    415: TYPES["unsupported-media-type"],
    429: TYPES["too-many-requests"],
    500: TYPES["internal-error"],
    503: TYPES["service-unavailable"],
}

# REST framework's own codes, where they differ from ours.
_CODES: Final = {
    "parse_error": "malformed-body",
    "authentication_failed": "not-authenticated",
    "throttled": "too-many-requests",
    "invalid": "invalid-request",
    "error": "internal-error",
}


def find(*, code: str | None, status: int) -> ProblemType | None:
    """The type an exception's code names, else the general one of its status, else None (`about:blank`)."""
    slug = _CODES.get(code or "", (code or "").replace("_", "-"))
    named = TYPES.get(slug)
    return named if named is not None and named.status == status else BY_STATUS.get(status)
