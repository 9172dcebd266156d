"""What the customers' own log says: who was answered what, and whether it was the same every time.

Reads `local.drill.crowd`'s file and shares nothing with the service. Reading goes on where the last look ended.
"""

import json
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any


@dataclass
class Accounts:
    """The log so far."""

    path: Path
    # Distinct answers and order ids by key: one each when all is well.
    bodies: dict[str, set[str]] = field(default_factory=dict)
    orders: dict[str, set[str]] = field(default_factory=dict)
    lines: Counter[str] = field(default_factory=Counter)
    conflicts: Counter[int] = field(default_factory=Counter)
    unexpected: list[str] = field(default_factory=list)
    gave_up: list[str] = field(default_factory=list)
    # When an order was answered for, by the clock of this machine.
    answered_at: list[float] = field(default_factory=list)
    storms: list[dict[str, Any]] = field(default_factory=list)
    _read_to: int = 0

    def read(self) -> None:
        """Takes in what was written since; a line that is still being written is left for the next time."""
        if not self.path.exists():
            return
        with self.path.open("rb") as log:
            log.seek(self._read_to)
            new = log.read()
        whole, _, _ = new.rpartition(b"\n")
        self._read_to += len(whole) + 1 if whole else 0
        for line in whole.splitlines():
            self._take(json.loads(line))

    @property
    def placed(self) -> int:
        """Keys that were answered with an order."""
        return len(self.orders)

    @property
    def retries(self) -> int:
        return self.lines["retry"]

    @property
    def order_ids(self) -> set[str]:
        return set().union(*self.orders.values())

    @property
    def torn(self) -> list[str]:
        """Keys with two different answers."""
        return [key for key, bodies in self.bodies.items() if len(bodies) > 1]

    @property
    def doubled(self) -> list[str]:
        """Keys with two orders."""
        return [key for key, orders in self.orders.items() if len(orders) > 1]

    def first_answer_after(self, moment: float) -> float | None:
        """How long it took to the next order that was answered for; None when none came."""
        later = [at for at in self.answered_at if at > moment]
        return min(later) - moment if later else None

    def _take(self, line: dict[str, Any]) -> None:
        what = line["what"]
        self.lines[what] += 1
        match what:
            case "answered":
                self.bodies.setdefault(line["key"], set()).add(line["body"])
                self.orders.setdefault(line["key"], set()).add(line["order"])
                self.answered_at.append(line["at"])
            case "retry" | "refused" if line["status"] in {409, 422}:
                self.conflicts[line["status"]] += 1
            case "unexpected":
                self.unexpected.append(f"{line['key']}: {line['status']} {line['body']}")
            case "gave up":
                self.gave_up.append(line["key"])
            case "storm":
                self.storms.append(line)
            case _:
                pass
