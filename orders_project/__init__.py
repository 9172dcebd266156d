"""Wiring of the service: settings, addresses, Celery, health. Celery's application is loaded with Django."""

from .celery import app as celery_app

__all__ = ["celery_app"]
