"""The service's own few pages: the front door, the token, the icon, and what a problem type means."""

from typing import Any

from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import render
from django.urls import reverse
from django.views.decorators.cache import cache_control
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
    "problems": "problem-types",
}
_ICON = """<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 16 16">
<rect width="16" height="16" rx="3" fill="#1f5f8b"/>
<path d="M4 8.5l3 3 5-6" fill="none" stroke="#fff" stroke-width="2"/>
</svg>"""


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

    @extend_schema(
        operation_id="auth_token",
        summary="A token for a user name and a password",
        tags=["authentication"],
        request=AuthTokenSerializer,
        responses=TokenAnswer,
        auth=[],
    )
    def post(self, request: Request) -> Response:
        serializer = AuthTokenSerializer(data=request.data, context={"request": request})
        serializer.is_valid(raise_exception=True)
        token, _ = Token.objects.get_or_create(user=serializer.validated_data["user"])
        return Response({"token": token.key})


@require_safe
@cache_control(public=True, max_age=86_400)
def icon(request: HttpRequest) -> HttpResponse:
    """Browsers ask for it on every page."""
    return HttpResponse(_ICON, content_type="image/svg+xml")


@require_safe
def problem_types(request: HttpRequest) -> HttpResponse:
    return render(request, "problem_types.html", {"types": TYPES.values()})


@require_safe
def problem_type(request: HttpRequest, slug: str) -> HttpResponse:
    """What a problem's `type` points at."""
    if slug not in TYPES:
        raise Http404
    return render(request, "problem_type.html", {"type": TYPES[slug]})
