"""The app that accepts orders and fulfils them."""

from django.apps import AppConfig


class OrdersConfig(AppConfig):
    name = "orders"
