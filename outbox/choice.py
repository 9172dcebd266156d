"""Which dead messages are meant: those of one error, for one destination, of one type, or any mix of these."""

from dataclasses import asdict, dataclass

# Nobody counts further: among millions that would take longer than anybody waits.
COUNTED_MAX = 100_000


@dataclass(frozen=True, kw_only=True)
class Choice:
    """What is empty is any."""

    error_fingerprint: str = ""
    destination: str = ""
    type: str = ""

    def __str__(self) -> str:
        parts = [
            f"error {self.error_fingerprint}" if self.error_fingerprint else "",
            f"to {self.destination}" if self.destination else "",
            f"of type {self.type}" if self.type else "",
        ]
        return ", ".join(part for part in parts if part) or "every dead message"

    def given(self) -> dict[str, str]:
        """What was chosen, as filters of the columns of the same names."""
        return {name: value for name, value in asdict(self).items() if value}


def counted(count: int) -> str:
    """A count that ended at COUNTED_MAX, to be read."""
    return f"{count:,}" if count < COUNTED_MAX else f"{COUNTED_MAX:,} or more"
