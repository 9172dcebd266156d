"""A remote destination with a ledger of each phase, and a gate that does as a test says."""

import threading
from collections import defaultdict
from concurrent.futures import Future
from datetime import timedelta

from outbox import remote, routing
from outbox.remote import Call
from tests.support.told import Told

NAME = "test.remote"


class NeverMade(Exception):
    """What this gate says of a call that it did not begin."""


class Gate:
    """As many slots as a test says, a thread per call, a breaker that the test opens."""

    total_deadline = timedelta(seconds=30)

    def __init__(self, slots=10):
        self.slots, self.taken, self.most = slots, 0, 0
        self.open_until = None
        self.observed, self.given_up, self.ends = [], [], []

    def admit(self, wanted):
        count = 0 if self.open_until else min(wanted, self.slots - self.taken)
        self.taken += count
        self.most = max(self.most, self.taken)
        return count

    def release(self, count):
        self.taken -= count

    def submit(self, call, *, ends_at):
        self.ends.append(ends_at)
        future = Future()

        def run():
            try:
                result = call()
            except Exception as error:  # noqa: BLE001 - it belongs to whoever waits for the call
                self.taken -= 1
                future.set_exception(error)
            else:
                self.taken -= 1
                if not future.done():  # one that was given up in line has its answer
                    future.set_result(result)

        threading.Thread(target=run, daemon=True).start()
        return future

    def give_up(self, future):
        self.given_up.append(future)

    def overstayed(self):
        return len(self.given_up)

    def paused_until(self):
        return self.open_until

    def observe(self, results):
        self.observed += results

    def was_made(self, result):
        return not isinstance(result, NeverMade)


class Work:
    """Notes, calls and records; keeps a ledger of each."""

    def __init__(self):
        self.the_gate = Gate()
        self.noted, self.called, self.recorded = [], [], []
        self.calls = defaultdict(lambda: lambda: "ok")
        self.needs_no_call = set()
        self.raises_on = set()

    def gate(self):
        return self.the_gate

    def note(self, messages):
        texts = [message.payload["text"] for message in messages]
        self.noted.append(texts)
        return {
            message.key: Call(intent=text, perform=lambda text=text: self._call(text))
            for message, text in zip(messages, texts, strict=True)
            if text not in self.needs_no_call
        }

    def record(self, answers):
        if broken := [answer for answer in answers if answer.intent in self.raises_on]:
            raise RuntimeError(f"cannot record {broken[0].intent}")
        self.recorded += [(answer.intent, answer.result, answer.mine, answer.provider_down) for answer in answers]

    def _call(self, text):
        self.called.append(text)
        return self.calls[text]()


def working():
    """Registers the destination; answers its work."""
    work = Work()
    routing.register(
        routing.Inside(
            name=NAME,
            queue="remote",
            types=frozenset({Told.type}),
            subscribes=frozenset({Told.type}),
            run=remote.remote(work),
            remote=True,
        )
    )
    return work
