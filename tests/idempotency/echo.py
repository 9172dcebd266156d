"""A view of the tests' own, with an effect one can count: each run that commits leaves one group.

It is a URL configuration of its own, beside the key's page.
"""

import threading
from collections.abc import Callable
from typing import Any

from django.contrib.auth.models import Group
from django.urls import include, path
from rest_framework.permissions import IsAuthenticated
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from idempotency.decorators import idempotent

# What a test wants to happen inside the transaction, after the effect.
inside: Callable[[], Any] = lambda: None  # noqa: E731 - a variable that tests replace
runs = 0
lock = threading.Lock()


class Echo(APIView):
    permission_classes = (IsAuthenticated,)

    @idempotent()
    def post(self, request: Request, name: str) -> Response:
        global runs  # noqa: PLW0603 - counted over all threads
        with lock:
            runs += 1
        number = runs
        Group.objects.create(name=f"{name}-{number}")
        inside()
        status = request.data.get("status", 201) if isinstance(request.data, dict) else 201
        headers = {"Location": f"/echo/{number}", "Set-Cookie": "secret=1", "X-Other": "1"}
        return Response({"id": number, "name": name}, status=status, headers=headers)

    patch = put = delete = post


urlpatterns = [path("echo/<str:name>", Echo.as_view()), path("", include("idempotency.urls"))]
