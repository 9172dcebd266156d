"""The service with a crash armed in it, for tests only: `DJANGO_SETTINGS_MODULE=tests.armed.settings`."""
