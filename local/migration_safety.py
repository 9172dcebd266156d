"""Refuses migrations that old code, still running while the new one is rolled out, could not live with.

A project's first migrations create tables that no running code uses, so only those that follow are looked at.
"""

import os
import sys
from pathlib import Path

import django
from django.apps import apps

from local.folder import PROJECT_DIR


def main() -> int:
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "orders_project.settings")
    django.setup()
    from django_migration_linter import MigrationLinter  # needs the settings

    ours = [config.label for config in apps.get_app_configs() if PROJECT_DIR in Path(config.path).parents]
    ours = [label for label in ours if "site-packages" not in Path(apps.get_app_config(label).path).parts]
    linter = MigrationLinter(str(PROJECT_DIR), include_apps=ours, ignore_initial_migrations=True, no_cache=True)
    linter.lint_all_migrations()
    linter.print_summary()
    return 1 if linter.has_errors else 0


if __name__ == "__main__":
    sys.exit(main())
