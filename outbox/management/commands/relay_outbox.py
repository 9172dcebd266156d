"""`manage.py relay_outbox`: the relay as a process. The first signal ends it in order, the second at once."""

import os
import signal
from types import FrameType

from django.core.management.base import BaseCommand

from outbox.relay import Relay

SECOND_SIGNAL_EXIT_CODE = 130


class Command(BaseCommand):
    help = (
        "Rings destinations inside and sends to destinations outside: at once when told (LISTEN), and every poll "
        "interval regardless. Run as many as you like; they share the load. The first SIGTERM or Ctrl-C finishes the "
        "batch in hand, the second ends at once (claims run out by the clock)."
    )

    def handle(self, *args: object, **options: object) -> None:
        relay = Relay()

        def stop(number: int, frame: FrameType | None) -> None:
            signal.signal(signal.SIGTERM, end)
            signal.signal(signal.SIGINT, end)
            relay.stop()

        def end(number: int, frame: FrameType | None) -> None:
            os._exit(SECOND_SIGNAL_EXIT_CODE)

        signal.signal(signal.SIGTERM, stop)
        signal.signal(signal.SIGINT, stop)
        self.stdout.write("The relay listens. Ctrl-C ends it.")
        relay.run()
        self.stdout.write("The relay has ended.")
