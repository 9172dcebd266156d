"""The service's own few pages: the front door, the token, and what a problem type means."""

from typing import Any

from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import render
from django.urls import reverse
from django.views.decorators.http import require_safe
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.authtoken.models import Token
from rest_framework.authtoken.serializers import AuthTokenSerializer
from rest_framework.permissions import AllowAny
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from orders_project.problem_types import TYPES

# What the front door shows, in reading order; an address is its route's name.
_LINKS = {
    "orders": "orders",
    "products": "products",
    "docs": "docs",
    "schema": "schema",
    "auth_token": "auth-token",
    "admin": "admin:index",
    "ready": "health-ready",
}


class RootView(APIView):
    """Where everything is. Log in at the top right to browse your orders."""

    name = "Orders"
    permission_classes = [AllowAny]

    @extend_schema(exclude=True)
    def get(self, request: Request) -> Response:
        return Response({name: request.build_absolute_uri(reverse(route)) for name, route in _LINKS.items()})


class TokenAnswer(serializers.Serializer[Any]):
    token = serializers.CharField(read_only=True)


class AuthTokenView(APIView):
    """Exchanges a username and a password for the token of `Authorization: Token …`."""

    permission_classes = [AllowAny]
    # No session here: a browser's cookie must not decide whose token is handed out.
    authentication_classes = ()

    @extend_schema(request=AuthTokenSerializer, responses=TokenAnswer, auth=[])
    def post(self, request: Request) -> Response:
        serializer = AuthTokenSerializer(data=request.data, context={"request": request})
        serializer.is_valid(raise_exception=True)
        token, _ = Token.objects.get_or_create(user=serializer.validated_data["user"])
        return Response({"token": token.key})


@require_safe
def problem_type(request: HttpRequest, slug: str) -> HttpResponse:
    """What a problem's `type` points at."""
    if slug not in TYPES:
        raise Http404
    return render(request, "problem_type.html", {"type": TYPES[slug]})
