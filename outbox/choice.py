"""Which dead messages are meant: those of one error, for one destination, of one type, or any mix of these."""

from dataclasses import asdict, dataclass


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
