"""Django's SMTP backend within what is left of an attempt (providers.deadline): EMAIL_TIMEOUT alone begins anew with
each of a mail's ten steps.

Guarantees that no step begins after the deadline, or waits past it for the server's next word; a server that takes its
time over the farewell does not make an accepted mail look unknown.
Does not guarantee the deadline against a server that drips a reply byte by byte: `providers.gate` gives such a call up.
"""

import smtplib
from typing import Any

from django.core.mail.backends.smtp import EmailBackend

from providers import deadline

# For a step, where EMAIL_TIMEOUT is not set: nothing waits for ever (I11).
STEP_SECONDS = 10.0


def within_attempt(seconds: float) -> float:
    """`seconds`, or what is left of the attempt; raises TimeoutError when nothing is."""
    left = deadline.remaining()
    if left is None:
        return seconds
    if left <= 0:
        raise TimeoutError("no time left for the mail server")
    return min(seconds, left)


class PunctualSMTP(smtplib.SMTP):
    def send(self, s: Any) -> None:
        self._hurry()
        super().send(s)

    def getreply(self) -> tuple[int, bytes]:
        self._hurry()
        return super().getreply()

    def quit(self) -> tuple[int, bytes]:
        """Accepted or not, the mail's fate is known by now."""
        try:
            return super().quit()
        except OSError:
            self.close()
            return 221, b"left without a word"

    def _hurry(self) -> None:
        if self.sock is not None:
            self.sock.settimeout(within_attempt(self.timeout))


class PunctualSMTPOverTLS(PunctualSMTP, smtplib.SMTP_SSL):
    """The same, encrypted from the first byte."""


class PunctualBackend(EmailBackend):
    @property
    def connection_class(self) -> type[smtplib.SMTP]:
        return PunctualSMTPOverTLS if self.use_ssl else PunctualSMTP

    def open(self) -> bool | None:
        self.timeout = within_attempt(self.timeout or STEP_SECONDS)
        return super().open()
