"""Names the problem behind an exception that is no API exception: the database's, the parser's, Django's own.

Guarantee: an outage of Postgres is a 503 with Retry-After, and input that only the database refuses is a 4xx.
It does not guarantee an answer for a bug: what is not listed here stays unnamed (None) and becomes a 500.
"""

import logging

from django.core.exceptions import (
    BadRequest,
    PermissionDenied,
    RequestDataTooBig,
    SuspiciousOperation,
    ValidationError,
)
from django.db import DatabaseError, DataError, IntegrityError, InterfaceError, OperationalError
from django.http import Http404
from django.http.multipartparser import MultiPartParserError
from django.http.request import RawPostDataException, UnreadablePostError
from rest_framework import exceptions as api

logger = logging.getLogger(__name__)

RETRY_AFTER_SECONDS = 1
# https://www.postgresql.org/docs/current/errcodes-appendix.html: restrict, foreign key, unique, check, exclusion.
# Not-null is missing on purpose: no input of a client can cause it, so it is a bug.
_REFUSED_BY_CONSTRAINT = ("23001", "23503", "23505", "23514", "23P01")
# A standby that a failover has not promoted yet.
_READ_ONLY = "25006"
_UNREADABLE = (BadRequest, MultiPartParserError, SuspiciousOperation, UnreadablePostError, RawPostDataException)


class ServiceUnavailable(api.APIException):
    status_code = 503
    default_code = "service_unavailable"
    default_detail = "The database cannot answer now. Retry; an Idempotency-Key makes that safe."
    headers = {"Retry-After": str(RETRY_AFTER_SECONDS)}


class Conflict(api.APIException):
    status_code = 409
    default_code = "conflict"
    default_detail = "The request contradicts what is already stored."


class MalformedRequest(api.APIException):
    status_code = 400
    default_code = "malformed_request"
    default_detail = "The request could not be read."


class BodyTooLarge(api.APIException):
    status_code = 413
    default_code = "body_too_large"
    default_detail = "The body is too large."


def translate(exc: Exception) -> api.APIException | None:
    """The API exception that tells a client about `exc`; None for a bug."""
    if isinstance(exc, Http404):
        return api.NotFound()
    if isinstance(exc, PermissionDenied):
        return api.PermissionDenied()
    if isinstance(exc, RequestDataTooBig):
        return BodyTooLarge()
    if isinstance(exc, _UNREADABLE):
        return MalformedRequest()
    if isinstance(exc, (DatabaseError, InterfaceError)):
        return _translate_database(exc)
    return _translate_value(exc)


def _translate_database(exc: DatabaseError | InterfaceError) -> api.APIException | None:
    state = getattr(exc.__cause__, "sqlstate", None)
    if isinstance(exc, (OperationalError, InterfaceError)) or state == _READ_ONLY:
        logger.warning("database_unavailable", extra={"sqlstate": state, "error": str(exc)})
        return ServiceUnavailable()
    if isinstance(exc, DataError):
        return _logged(api.ValidationError("A value is outside what can be stored."), exc)
    if isinstance(exc, IntegrityError) and state in _REFUSED_BY_CONSTRAINT:
        return _logged(Conflict(), exc)
    return None


def _translate_value(exc: Exception) -> api.APIException | None:
    if isinstance(exc, ValidationError):
        # A cursor or a filter whose value does not fit its field; REST framework lets Django's own class through.
        return api.ValidationError(getattr(exc, "message_dict", None) or exc.messages)
    if isinstance(exc, UnicodeEncodeError):
        return _logged(api.ValidationError("A text cannot be encoded as UTF-8."), exc)
    if isinstance(exc, RecursionError):
        return _logged(MalformedRequest("The request is nested too deeply."), exc)
    return None


def _logged(problem: api.APIException, exc: Exception) -> api.APIException:
    """Input that reached the database unchecked deserves a look: the serializer should have refused it."""
    logger.warning("input_refused_late", exc_info=exc)
    return problem
