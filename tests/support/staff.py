"""People who operate the service: with every permission, or with some."""

from typing import Any

from django.contrib.auth.models import Permission, User
from django.test import Client
from rest_framework.test import APIClient


def operator(*permissions: str) -> User:
    """A member of staff with these permissions ("sagas.view_saga")."""
    user = User.objects.create_user(f"operator-{User.objects.count()}", is_staff=True)
    for permission in permissions:
        app, codename = permission.split(".")
        user.user_permissions.add(Permission.objects.get(content_type__app_label=app, codename=codename))
    return user


def signed_in(user: User, **options: Any) -> Client:
    client = Client(**options)
    client.force_login(user)
    return client


def root() -> Client:
    """Somebody who may do everything."""
    return signed_in(User.objects.create_superuser("root"))


def api(**options: Any) -> APIClient:
    """A caller of the API: a customer unless `is_staff`."""
    client = APIClient()
    client.force_authenticate(User.objects.create_user(f"caller-{User.objects.count()}", **options))
    return client


def click(client: Client, page: str, action: str, *rows: object, query: str = "", **answers: Any) -> Any:
    """Chooses rows in a list and an action: without answers its question, with them the act. Follows redirects."""
    data = {"action": action, "_selected_action": [str(row) for row in rows], **answers}
    if answers:
        data["confirmed"] = "yes"
    return client.post(f"/admin/{page}/{query}", data, follow=True)


def said(answer: Any) -> list[str]:
    """What the page says about what was done."""
    return [str(message) for message in answer.context["messages"]]
