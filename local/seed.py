"""A catalogue and people to try the service with: customers, staff who may see everything, and somebody on call.

Guarantees that repeating it changes nothing: passwords and tokens are random, remembered beside the data and kept. Does
not touch what exists: orders, prices and stock stay as they are.
"""

import secrets
from typing import Any

from django.contrib.auth import get_user_model
from django.contrib.auth.models import Group
from rest_framework.authtoken.models import Token

from inventory.operations import seed_catalogue
from local.folder import Folder
from local.run_file import CREDENTIALS_FILE

CUSTOMERS = {"customer": "demo", "other_customer": "demo-neighbour"}
STAFF_NAME = "demo-staff"
ADMIN_NAME = "admin"
# A member of the group operator, and no more: what the people on call may do is seen by being one of them.
OPERATOR_NAME, OPERATOR_GROUP = "demo-operator", "operator"


def seed_demo(folder: Folder) -> dict[str, Any]:
    """Returns the credentials as they stand in the folder: tokens by role, and the logins to the admin."""
    seed_catalogue()
    tokens = {role: _token(name, is_staff=False) for role, name in CUSTOMERS.items()}
    tokens["staff"] = _token(STAFF_NAME, is_staff=True)
    remembered = folder.read_json(CREDENTIALS_FILE)
    credentials = {
        "tokens": tokens,
        "admin": _login(ADMIN_NAME, remembered.get("admin", {}), is_superuser=True),
        "operator": _login(OPERATOR_NAME, remembered.get("operator", {}), is_superuser=False),
    }
    get_user_model().objects.get(username=OPERATOR_NAME).groups.add(*Group.objects.filter(name=OPERATOR_GROUP))
    folder.write_json(CREDENTIALS_FILE, credentials)
    return credentials


def _token(username: str, *, is_staff: bool) -> str:
    user, is_new = get_user_model().objects.get_or_create(
        username=username, defaults={"is_staff": is_staff, "email": f"{username}@example.com"}
    )
    if is_new:
        user.set_unusable_password()
        user.save(update_fields=["password"])
    token, _ = Token.objects.get_or_create(user=user)
    return str(token.key)


def _login(username: str, remembered: dict[str, str], *, is_superuser: bool) -> dict[str, str]:
    """The remembered password while it opens the door; else a new one."""
    user, _ = get_user_model().objects.get_or_create(
        username=username,
        defaults={"is_staff": True, "is_superuser": is_superuser, "email": f"{username}@example.com"},
    )
    password = remembered.get("password", "")
    if not (password and user.check_password(password)):
        password = secrets.token_urlsafe(12)
        user.set_password(password)
        user.save(update_fields=["password"])
    return {"username": username, "password": password}
