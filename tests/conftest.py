"""Fixtures for every test. The servers are started by `local.pytest_servers`, named in pyproject.toml."""

from tests.support.service import service

__all__ = ["service"]
