"""The service's own settings with what the benchmarks compare it to: a saga, a bare chain, a bare view.

Everything else is as deployed (DEBUG off, durable Postgres). Nothing deployed imports this.
"""

from orders_project.settings import *  # noqa: F403 - a settings file stands for the other whole
from orders_project.settings import INSTALLED_APPS as SERVICE_APPS

INSTALLED_APPS = [*SERVICE_APPS, "benchmarks"]
ROOT_URLCONF = "benchmarks.urls"
