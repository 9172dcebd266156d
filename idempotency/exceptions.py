"""Every refusal of a request because of its key. Their codes are problem types (docs/problems.md).

APIException
├── KeyMissing       400  the route requires a key
├── KeyInvalid       400  not 1-255 printable characters
├── KeyInUse         409  the first request with this key still runs: retry later
├── KeyReused        422  the key was used with another body
└── OutcomeUnknown   503  the reply to COMMIT was lost: repeat with the same key
"""

from rest_framework.exceptions import APIException

RETRY_AFTER_SECONDS = 1


class KeyMissing(APIException):
    status_code = 400
    default_code = "idempotency_key_missing"
    default_detail = "Send an Idempotency-Key header: without one a retry could do the same thing twice."


class KeyInvalid(APIException):
    status_code = 400
    default_code = "idempotency_key_invalid"
    default_detail = "An Idempotency-Key is 1 to 255 printable ASCII characters, in double quotes or bare."


class KeyInUse(APIException):
    status_code = 409
    default_code = "idempotency_key_in_use"
    default_detail = "The first request with this Idempotency-Key still runs. Repeat this one in a moment."
    headers = {"Retry-After": str(RETRY_AFTER_SECONDS)}


class KeyReused(APIException):
    status_code = 422
    default_code = "idempotency_key_reused"
    default_detail = "This Idempotency-Key was used with another body. Use a new key for a new request."


class OutcomeUnknown(APIException):
    status_code = 503
    default_code = "outcome_unknown"
    default_detail = "It may have happened. Repeat the request with the same Idempotency-Key to learn."
    headers = {"Retry-After": str(RETRY_AFTER_SECONDS)}


class AnswerTooLarge(RuntimeError):
    """An answer is larger than what may be stored for replays: a bug of the view, not of its caller."""
