"""The peer of P3: django-outbox-pattern's own publisher. Runs in the peers' environment; knows nothing of this project.

Makes its tables, says "ready", and for each line of its input publishes everything that is scheduled, the way its
command `publish` does, and answers how long that took.
"""

import json
import os
import sys
import time
from urllib.parse import urlsplit

import django
from django.conf import settings

database = urlsplit(os.environ["BENCH_PEER_URL"])
settings.configure(
    INSTALLED_APPS=["django_outbox_pattern"],
    DATABASES={
        "default": {
            "ENGINE": "django.db.backends.postgresql",
            "NAME": database.path[1:],
            "HOST": database.hostname,
            "PORT": database.port,
            "USER": database.username,
            "PASSWORD": database.password,
            "CONN_MAX_AGE": None,
        }
    },
    USE_TZ=True,
    # Its every message is a line of INFO, which would cost it a third.
    LOGGING={"version": 1, "loggers": {"django_outbox_pattern": {"level": "WARNING"}}},
    DJANGO_OUTBOX_PATTERN={
        "DEFAULT_STOMP_HOST_AND_PORTS": [("127.0.0.1", int(os.environ["BENCH_STOMP_PORT"]))],
        # No second of rest after each pass, and fewer fetches than with its default of 200.
        "DEFAULT_PRODUCER_WAITING_TIME": 0,
        "DEFAULT_PUBLISHED_CHUNK_SIZE": int(os.environ.get("BENCH_PEER_CHUNK", "1000")),
    },
)
django.setup()

from django.core.management import call_command  # noqa: E402 - only now are there settings
from django_outbox_pattern.factories import factory_producer  # type: ignore[import-not-found]  # noqa: E402 - peers'
from django_outbox_pattern.models import Published  # type: ignore[import-not-found]  # noqa: E402 - as above


def main() -> None:
    call_command("migrate", verbosity=0)
    producer = factory_producer()
    print("ready", flush=True)
    for _line in sys.stdin:
        began = time.perf_counter()
        producer.publish_message_from_database()
        spent = time.perf_counter() - began
        failed = Published.objects.exclude(status=2).count()
        print(json.dumps({"seconds": spent, "not_sent": failed}), flush=True)


if __name__ == "__main__":
    main()
