"""The sandbox in a process of its own."""

from tests.support.sandbox import sandbox

__all__ = ["sandbox"]
