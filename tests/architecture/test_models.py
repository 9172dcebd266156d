"""Apps share plain UUIDs, so that tables are as independent as imports."""

from django.apps import apps

from tests.architecture.tree import APPS

NAMES_A_SENTENCE = 3


def _models():
    """Those with a table of their own: a proxy shows another one's."""
    return [model for app in APPS for model in apps.get_app_config(app).get_models() if not model._meta.proxy]


def test_no_relation_crosses_apps_but_to_the_user():
    crossing = [
        f"{model.__name__}.{field.name}"
        for model in _models()
        for field in model._meta.get_fields()
        if field.is_relation and field.related_model is not None and not field.auto_created
        if field.related_model._meta.app_label not in (model._meta.app_label, "auth")
    ]

    assert crossing == []


def test_tables_keep_djangos_names():
    renamed = [
        model.__name__
        for model in _models()
        if model._meta.db_table != f"{model._meta.app_label}_{model._meta.model_name}"
    ]

    assert renamed == []


def test_constraints_are_named_like_sentences():
    terse = [
        constraint.name
        for model in _models()
        for constraint in model._meta.constraints
        if len(constraint.name.split("_")) < NAMES_A_SENTENCE
    ]

    assert terse == []


def test_money_is_counted_in_integer_minor_units():
    fractional = [
        f"{model.__name__}.{field.name}"
        for model in _models()
        for field in model._meta.get_fields()
        if field.__class__.__name__ in ("FloatField", "DecimalField")
    ]

    assert fractional == []
