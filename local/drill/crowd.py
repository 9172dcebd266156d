"""The customers: a process of its own that places orders and writes down every answer it got.

Guarantees a line in its log for each answer and each broken connection, written at once: it is what the verdict
believes, independent of the service's own rows. A customer asks again with the same key until answered, like a phone in
a tunnel.
Started by the drill (`python -m local.drill.crowd`); ends when every customer has an answer, or patience is spent.
"""

import argparse
import json
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from typing import IO, Any

from local.drill.orders import Habit, Wish, wishes
from local.drill.storm import Storm, some_keys, storm

THREADS = 48
REQUEST_SECONDS = 20.0
# A hasty client: it waits less than it is told to.
PAUSE_SECONDS = 0.3
# Then a customer gives up, which is a broken promise.
PATIENCE_SECONDS = 240.0
# What a client is told to repeat with the same key.
ASK_AGAIN = {409, 429, 503}


@dataclass
class CrowdLog:
    """One JSON object a line; several threads write."""

    file: IO[str]
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def write(self, what: str, **facts: object) -> None:
        line = json.dumps({"at": time.time(), "what": what, **facts})
        with self._lock:
            self.file.write(line + "\n")
            self.file.flush()


@dataclass(frozen=True, kw_only=True)
class Crowd:
    """All customers of one drill."""

    port: int
    tokens: Mapping[str, str]
    log: CrowdLog
    patience_seconds: float = PATIENCE_SECONDS

    def serve(self, wish: Wish) -> None:
        """One customer, from the first request to the last."""
        match wish.habit:
            case Habit.TWINS:
                twin = threading.Thread(target=self._place, args=[wish])
                twin.start()
                self._place(wish)
                twin.join()
            case Habit.HANGS_UP:
                self._hang_up(wish)
                self._place(wish)
            case Habit.REPEATS:
                self._place(wish)
                self._place(wish)
            case Habit.REUSES_KEY:
                self._place(wish)
                self._reuse(wish)
            case Habit.CANCELS:
                if order_id := self._place(wish):
                    self._cancel(wish, order_id)
            case Habit.PLAIN:
                self._place(wish)

    def _place(self, wish: Wish) -> str | None:
        """Until it is answered; returns the order's id."""
        gives_up_at = time.monotonic() + self.patience_seconds
        while time.monotonic() < gives_up_at:
            status, body = self._ask(wish, "/orders", wish.body, key=wish.key)
            if status == 201:
                order_id = str(json.loads(body)["id"])
                self.log.write("answered", key=wish.key, order=order_id, body=body)
                return order_id
            if not self._may_ask_again(wish, status, body):
                return None
        self.log.write("gave up", key=wish.key)
        return None

    def _reuse(self, wish: Wish) -> None:
        other = {"sku": "GIZMO", "quantity": 7}
        gives_up_at = time.monotonic() + self.patience_seconds
        while time.monotonic() < gives_up_at:
            status, body = self._ask(wish, "/orders", other, key=wish.key)
            if status == 422:
                self.log.write("refused", key=wish.key, status=status)
                return
            if not self._may_ask_again(wish, status, body):
                return

    def _cancel(self, wish: Wish, order_id: str) -> None:
        """Asked for: whether it comes in time is the service's to say (200, 202), or that it does not (409)."""
        gives_up_at = time.monotonic() + self.patience_seconds
        while time.monotonic() < gives_up_at:
            status, body = self._ask(wish, f"/orders/{order_id}/cancel", None, key=f"cancel-{wish.key}")
            if status in {200, 202} or (status == 409 and "order-already-ended" in body):
                self.log.write("cancel answered", key=wish.key, order=order_id, status=status)
                return
            if not self._may_ask_again(wish, status, body):
                return

    def _may_ask_again(self, wish: Wish, status: int, body: str) -> bool:
        if status and status not in ASK_AGAIN:
            self.log.write("unexpected", key=wish.key, status=status, body=body[:500])
            return False
        self.log.write("retry", key=wish.key, status=status)
        time.sleep(PAUSE_SECONDS)
        return True

    def _ask(self, wish: Wish, path: str, body: Mapping[str, Any] | None, *, key: str) -> tuple[int, str]:
        """Status and body; 0 when no whole answer came back."""
        connection = HTTPConnection("127.0.0.1", self.port, timeout=REQUEST_SECONDS)
        try:
            connection.request("POST", path, body=_bytes(body), headers=self._headers(wish, key))
            answer = connection.getresponse()
            return answer.status, answer.read().decode()
        except (OSError, HTTPException):
            return 0, ""
        finally:
            connection.close()

    def _hang_up(self, wish: Wish) -> None:
        connection = HTTPConnection("127.0.0.1", self.port, timeout=REQUEST_SECONDS)
        try:
            connection.request("POST", "/orders", body=_bytes(wish.body), headers=self._headers(wish, wish.key))
            self.log.write("hung up", key=wish.key)
        except (OSError, HTTPException):
            self.log.write("retry", key=wish.key, status=0)
        finally:
            connection.close()

    def _headers(self, wish: Wish, key: str) -> dict[str, str]:
        return {
            "Authorization": f"Token {self.tokens[wish.role]}",
            "Content-Type": "application/json",
            "Idempotency-Key": f'"{key}"',
        }


def _bytes(body: Mapping[str, Any] | None) -> bytes:
    return b"" if body is None else json.dumps(body).encode()


def place(crowd: Crowd, wanted: Sequence[Wish], *, clock: Path | None) -> None:
    """Each at its moment by the drill's clock; one whose predecessors hold all threads comes later."""
    with ThreadPoolExecutor(THREADS) as pool:
        for wish in wanted:
            while clock is not None and told_time(clock) < wish.at_seconds:
                time.sleep(0.05)
            pool.submit(crowd.serve, wish)


def told_time(clock: Path) -> float:
    """The seconds of the schedule, as the drill writes them a few times a second."""
    try:
        return float(clock.read_text())
    except (OSError, ValueError):
        return 0.0


def send_storm(crowd: Crowd, *, keys: int, times: int, seed: int) -> None:
    """The storm's answers go into the same log, one line for each distinct answer."""
    found = storm(
        Storm(
            port=crowd.port,
            token=crowd.tokens["customer"],
            body={"sku": "WIDGET", "quantity": 1},
            keys=some_keys(keys),
            times=times,
            patience_seconds=PATIENCE_SECONDS,
            seed=seed,
        )
    )
    for key, bodies in found.bodies.items():
        for body in bodies:
            crowd.log.write("answered", key=key, order=json.loads(body)["id"], body=body.decode())
    for line in found.unanswered:
        crowd.log.write("gave up", key=line)
    crowd.log.write(
        "storm", keys=keys, times=times, answers=sum(found.statuses.values()), cut=found.cut, seconds=found.seconds
    )


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser()
    for name in ("--port", "--seed", "--orders"):
        parser.add_argument(name, type=int, required=True)
    parser.add_argument("--seconds", type=float, required=True)
    parser.add_argument("--log", type=Path, required=True)
    parser.add_argument("--credentials", type=Path, required=True)
    parser.add_argument("--storm", type=int, nargs=2, default=None)
    parser.add_argument("--clock", type=Path, default=None)
    parser.add_argument("--again", action="store_true", help="every order once more: the same key, the same body")
    options = parser.parse_args(arguments)
    tokens = json.loads(options.credentials.read_text())["tokens"]
    wanted = list(wishes(seed=options.seed, count=options.orders, seconds=options.seconds))
    if options.again:
        wanted = [Wish(**{**vars(wish), "habit": Habit.PLAIN, "at_seconds": 0.0}) for wish in wanted]
    with options.log.open("a", encoding="utf-8") as file:
        crowd = Crowd(port=options.port, tokens=tokens, log=CrowdLog(file))
        if options.storm:
            keys, times = options.storm
            wanted_storm = {"keys": keys, "times": times, "seed": options.seed}
            storming = threading.Thread(target=send_storm, args=[crowd], kwargs=wanted_storm)
            storming.start()
        place(crowd, wanted, clock=None if options.again else options.clock)
        if options.storm:
            storming.join()
    return 0


if __name__ == "__main__":
    sys.exit(main())
