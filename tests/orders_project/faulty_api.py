"""An API of views that fail in every way a view can, for the tests of the edge."""

from django.core.exceptions import SuspiciousOperation, ValidationError
from django.db import DataError, IntegrityError, InterfaceError, OperationalError, connection, transaction
from django.http import HttpRequest, HttpResponse
from django.urls import include, path
from psycopg import errors as postgres
from rest_framework import serializers
from rest_framework.permissions import AllowAny
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from orders_project import urls


def from_postgres(outer: type[Exception], inner: Exception) -> Exception:
    """As Django raises it: its own class, caused by psycopg's."""
    error = outer(str(inner))
    error.__cause__ = inner
    return error


FAULTS = {
    "check": lambda: from_postgres(IntegrityError, postgres.CheckViolation("total = sum")),
    "unique": lambda: from_postgres(IntegrityError, postgres.UniqueViolation("twice")),
    "not-null": lambda: from_postgres(IntegrityError, postgres.NotNullViolation("forgotten")),
    "data": lambda: from_postgres(DataError, postgres.DataException("NUL")),
    "lock": lambda: from_postgres(OperationalError, postgres.LockNotAvailable("waited")),
    "deadlock": lambda: from_postgres(OperationalError, postgres.DeadlockDetected("both")),
    "away": lambda: from_postgres(OperationalError, postgres.OperationalError("refused")),
    "closed": lambda: from_postgres(InterfaceError, postgres.InterfaceError("closed")),
    "standby": lambda: from_postgres(Exception, postgres.ReadOnlySqlTransaction("standby")),
    "recursion": RecursionError,
    "cursor": lambda: ValidationError("“x” value has an invalid date format."),
    "surrogate": lambda: UnicodeEncodeError("utf-8", "\ud800", 0, 1, "surrogates not allowed"),
    "suspicious": lambda: SuspiciousOperation("odd"),
    "bug": ZeroDivisionError,
}


class Line(serializers.Serializer):
    sku = serializers.CharField(max_length=50)
    quantity = serializers.IntegerField(min_value=1, max_value=100)


class Body(serializers.Serializer):
    items = serializers.ListField(child=Line(), allow_empty=False, max_length=3)
    currency = serializers.ChoiceField(["EUR", "USD"], required=False)


class Faulty(APIView):
    """Raises what its address names; a POST validates its body and stores a text."""

    permission_classes = [AllowAny]

    def get(self, request: Request, fault: str) -> Response:
        raise FAULTS[fault]()

    def post(self, request: Request, fault: str) -> Response:
        body = Body(data=request.data)
        body.is_valid(raise_exception=True)
        with transaction.atomic(), connection.cursor() as cursor:
            cursor.execute("SELECT %s::text", [body.validated_data["items"][0]["sku"]])
        return Response(body.validated_data, status=201)


def plain(request: HttpRequest, fault: str) -> HttpResponse:
    """The same outside REST framework."""
    raise FAULTS[fault]()


urlpatterns = [
    path("faulty/<slug:fault>", Faulty.as_view()),
    path("plain/<slug:fault>", plain),
    path("", include(urls)),
]
