"""Who may do what: the groups viewer, operator and supervisor, with exactly the permissions that they need.

Guarantee: a viewer sees every row of ours and changes none; an operator also has every verb that is not dangerous; a
supervisor has those too, and decides on proposals. The verbs themselves say which they are, so that one which is added
is in its group with the next `create_groups`. Not guaranteed: that a person in a group may enter the admin; that is
"staff status", on their account.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from django.apps import AppConfig, apps
from django.conf import settings
from django.contrib import admin
from django.contrib.auth.models import Group, Permission
from django.db import models, transaction

VIEWER, OPERATOR, SUPERVISOR = "viewer", "operator", "supervisor"
# Permissions of pages that are no row's verb, by the group that needs them first.
OPERATORS_TOO = frozenset({"providers.operate_breaker"})
SUPERVISORS_TOO = frozenset({"outbox.decide_proposal"})


class PermissionsMissing(Exception):
    """The database does not know the permissions of this code: run `manage.py migrate` first."""


@dataclass(frozen=True, kw_only=True)
class Change:
    """What a group has to gain and to lose."""

    group: str
    gains: frozenset[str]
    loses: frozenset[str]

    def __bool__(self) -> bool:
        return bool(self.gains or self.loses)


def wanted() -> Mapping[str, frozenset[str]]:
    """Group → its permissions ("sagas.view_saga"), by what this code has."""
    ours = [model for config in apps.get_app_configs() if is_ours(config) for model in config.get_models()]
    views = {_named(model, f"view_{model._meta.model_name}") for model in ours if "view" in _defaults(model)}
    custom = {_named(model, codename) for model in ours for codename, _ in model._meta.permissions}
    # What no list and no verb names is left to supervisors: rather too little than too much.
    harmless = {verb.permission for verb in _verbs() if not verb.dangerous} | OPERATORS_TOO
    dangerous = {verb.permission for verb in _verbs() if verb.dangerous} | SUPERVISORS_TOO
    operators = views | (custom & (harmless - dangerous))
    return {VIEWER: frozenset(views), OPERATOR: frozenset(operators), SUPERVISOR: frozenset(views | custom)}


def changes() -> list[Change]:
    """What would have to change, by group; nothing of it is done."""
    found = []
    for name, permissions in wanted().items():
        held = _names(Permission.objects.filter(group__name=name))
        found.append(Change(group=name, gains=permissions - held, loses=held - permissions))
    return found


@transaction.atomic
def bring_up_to_date() -> list[Change]:
    """Makes the groups what they should be; returns what changed. Raises PermissionsMissing."""
    told = changes()
    known = {_name(permission): permission for permission in _of_ours()}
    for name, permissions in wanted().items():
        if unknown := permissions - known.keys():
            raise PermissionsMissing(f"{PermissionsMissing.__doc__} Not there: {', '.join(sorted(unknown))}.")
        group, _ = Group.objects.get_or_create(name=name)
        group.permissions.set([known[permission] for permission in permissions])
    return told


def is_ours(config: AppConfig) -> bool:
    """Whether an app is deployed and lies in this repository, beside settings."""
    return Path(config.path).parent == settings.BASE_DIR and config.label != "local"


def _verbs() -> list[Any]:
    """Every operator verb of the admin."""
    registered = [admin.site.get_model_admin(model) for model in apps.get_models() if admin.site.is_registered(model)]
    return [verb for model_admin in registered for verb in getattr(model_admin, "verbs", ())]


def _of_ours() -> Any:
    labels = [config.label for config in apps.get_app_configs() if is_ours(config)]
    return Permission.objects.filter(content_type__app_label__in=labels).select_related("content_type")


def _names(permissions: Any) -> frozenset[str]:
    return frozenset(_name(permission) for permission in permissions.select_related("content_type"))


def _name(permission: Permission) -> str:
    return f"{permission.content_type.app_label}.{permission.codename}"


def _named(model: type[models.Model], codename: str) -> str:
    return f"{model._meta.app_label}.{codename}"


def _defaults(model: type[models.Model]) -> tuple[str, ...]:
    return tuple(model._meta.default_permissions)
