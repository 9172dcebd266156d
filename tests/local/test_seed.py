"""The people that `make up` makes: each with a password or a token that stays, and no more rights than their part."""

import pytest
from django.contrib.auth.models import User

from local.folder import Folder
from local.seed import seed_demo
from orders_project import groups

pytestmark = pytest.mark.django_db


def test_whoever_is_on_call_is_an_operator_and_no_more(tmp_path):
    groups.bring_up_to_date()

    login = seed_demo(Folder(tmp_path))["operator"]

    operator = User.objects.get(username=login["username"])
    assert operator.check_password(login["password"])
    assert (operator.is_staff, operator.is_superuser) == (True, False)
    assert operator.get_all_permissions() == groups.wanted()[groups.OPERATOR]


def test_seeding_again_changes_no_login_and_mends_a_password_that_opens_nothing(tmp_path):
    first = seed_demo(Folder(tmp_path))
    assert seed_demo(Folder(tmp_path)) == first

    operator = User.objects.get(username=first["operator"]["username"])
    operator.set_password("forgotten")
    operator.save()
    second = seed_demo(Folder(tmp_path))

    assert second["admin"] == first["admin"]
    assert second["operator"] != first["operator"]
    operator.refresh_from_db()
    assert operator.check_password(second["operator"]["password"])
