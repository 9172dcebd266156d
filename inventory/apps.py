"""The app that keeps the catalogue, its prices and its stock."""

from django.apps import AppConfig


class InventoryConfig(AppConfig):
    name = "inventory"
