"""A catalogue and people to try the service with: a customer, another customer, and staff who may see everything.

Guarantees that repeating it changes nothing: passwords and tokens are random, remembered beside the data and kept. Does
not touch what exists: orders, prices and stock stay as they are.
"""

import secrets
from typing import Any

from django.contrib.auth import get_user_model
from rest_framework.authtoken.models import Token

from inventory.operations import seed_catalogue
from local.folder import Folder
from local.run_file import CREDENTIALS_FILE

CUSTOMERS = {"customer": "demo", "other_customer": "demo-neighbour"}
STAFF_NAME = "demo-staff"
ADMIN_NAME = "admin"


def seed_demo(folder: Folder) -> dict[str, Any]:
    """Returns the credentials as they stand in the folder: tokens by role, and the admin's login."""
    seed_catalogue()
    tokens = {role: _token(name, is_staff=False) for role, name in CUSTOMERS.items()}
    tokens["staff"] = _token(STAFF_NAME, is_staff=True)
    password = _admin_password(folder.read_json(CREDENTIALS_FILE).get("admin", {}).get("password"))
    credentials = {"tokens": tokens, "admin": {"username": ADMIN_NAME, "password": password}}
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


def _admin_password(remembered: str | None) -> str:
    """The remembered one while it opens the door; else a new one."""
    admin, _ = get_user_model().objects.get_or_create(
        username=ADMIN_NAME, defaults={"is_staff": True, "is_superuser": True, "email": "admin@example.com"}
    )
    if remembered and admin.check_password(remembered):
        return remembered
    password = secrets.token_urlsafe(12)
    admin.set_password(password)
    admin.save(update_fields=["password"])
    return password
