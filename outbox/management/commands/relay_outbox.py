"""`manage.py relay_outbox`: the relay as a process. The first signal ends it in order, the second at once."""

import os
import signal
from types import FrameType

from outbox.command_line import DONE, INTERRUPTED, MISUSED, ServiceCommand
from outbox.relay import Relay


class Command(ServiceCommand):
    help = (
        "Rings destinations inside and sends to destinations outside: at once when told (LISTEN), and every poll "
        "interval regardless. Run as many as you like; they share the load. The first SIGTERM or Ctrl-C finishes the "
        "batch in hand, the second ends at once (claims run out by the clock)."
    )
    examples = (("relay_outbox", "relays until it is told to end"),)
    exit_codes = {
        DONE: "ended in order, after the first signal",
        MISUSED: "misuse",
        INTERRUPTED: "ended at once, by the second signal",
    }

    def handle(self, *args: object, **options: object) -> None:
        relay = Relay()

        def stop(number: int, frame: FrameType | None) -> None:
            signal.signal(signal.SIGTERM, end)
            signal.signal(signal.SIGINT, end)
            relay.stop()

        def end(number: int, frame: FrameType | None) -> None:
            os._exit(INTERRUPTED)

        signal.signal(signal.SIGTERM, stop)
        signal.signal(signal.SIGINT, stop)
        self.stdout.write("The relay listens. Ctrl-C ends it.")
        relay.run()
        self.stdout.write("The relay has ended.")
