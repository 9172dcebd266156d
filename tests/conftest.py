"""Fixtures for every test. The servers are started by `local.pytest_servers`, named in pyproject.toml."""

from tests.support.rabbit import rabbit_node, rabbit_tls, subscriber
from tests.support.service import service
from tests.support.sessions import django_db_setup

__all__ = ["django_db_setup", "rabbit_node", "rabbit_tls", "service", "subscriber"]
