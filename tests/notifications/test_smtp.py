"""Mail over SMTP: one deadline for the whole conversation, and an accepted mail stays accepted."""

import contextlib
import socket
import threading
import time

import pytest

from notifications.channels.base import Notice
from notifications.channels.email import EmailChannel
from providers import deadline
from providers.errors import OutcomeUnknown
from providers.gate import Gate

NOTICE = Notice(address="ann@example.org", subject="s", body="b", message_id="<x@y>")


class MailServer:
    """Speaks SMTP, each reply after a pause of its own; remembers the commands and the mails it accepted."""

    def __init__(self) -> None:
        self.pauses: dict[str, float] = {}
        self.commands: list[str] = []
        self.accepted: list[bytes] = []
        self._ending = threading.Event()
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._socket.getsockname()[1]
        threading.Thread(target=self._serve, daemon=True).start()

    def close(self) -> None:
        self._ending.set()
        self._socket.close()

    def _serve(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                connection, _ = self._socket.accept()
                threading.Thread(target=self._talk, args=(connection,), daemon=True).start()

    def _talk(self, connection: socket.socket) -> None:
        with connection, connection.makefile("rwb", 0) as file, contextlib.suppress(OSError):
            self._reply(file, "GREETING", b"220 hello")
            while line := file.readline():
                verb = line[:4].strip().upper().decode()
                self.commands.append(verb)
                self._reply(file, verb, b"354 go on" if verb == "DATA" else b"250 fine")
                if verb == "DATA":
                    self._take_mail(file)
                if verb == "QUIT":
                    return

    def _take_mail(self, file) -> None:
        mail = b""
        while (line := file.readline()) not in (b".\r\n", b""):
            mail += line
        if line:
            self.accepted.append(mail)
            self._reply(file, "MAIL TAKEN", b"250 taken")

    def _reply(self, file, step: str, reply: bytes) -> None:
        self._ending.wait(self.pauses.get(step, 0.0))
        file.write(reply + b"\r\n")


@pytest.fixture
def server(settings):
    running = MailServer()
    settings.EMAIL_BACKEND = "django.core.mail.backends.smtp.EmailBackend"
    settings.EMAIL_HOST, settings.EMAIL_PORT, settings.EMAIL_TIMEOUT = "127.0.0.1", running.port, 5
    settings.EMAIL_USE_TLS = settings.EMAIL_USE_SSL = False
    settings.EMAIL_HOST_USER = settings.EMAIL_HOST_PASSWORD = ""
    yield running
    running.close()


def test_a_mail_is_sent_with_its_message_id(server):
    with deadline.ends_at(time.monotonic() + 5):
        EmailChannel().send(NOTICE)
    [mail] = server.accepted
    assert b"Message-ID: <x@y>" in mail
    assert server.commands == ["EHLO", "MAIL", "RCPT", "DATA", "QUIT"]


@pytest.mark.parametrize("silent", ["GREETING", "EHLO", "MAIL", "DATA", "MAIL TAKEN"])
def test_a_server_that_falls_silent_is_left_at_the_deadline(server, silent):
    server.pauses = {silent: 4.0}
    with deadline.ends_at(time.monotonic() + 0.3), pytest.raises(OutcomeUnknown):
        EmailChannel().send(NOTICE)
    assert len(server.accepted) == (silent == "MAIL TAKEN")


def test_steps_that_are_each_fast_enough_share_one_deadline(server):
    """EMAIL_TIMEOUT begins anew with every step; together they outlive the attempt."""
    server.pauses = dict.fromkeys(["GREETING", "EHLO", "MAIL", "RCPT", "DATA"], 0.2)
    with deadline.ends_at(time.monotonic() + 0.5), pytest.raises(OutcomeUnknown):
        EmailChannel().send(NOTICE)
    assert "DATA" not in server.commands
    assert server.accepted == []


def test_a_slow_farewell_does_not_make_an_accepted_mail_unknown(server):
    server.pauses = {"QUIT": 4.0}
    with deadline.ends_at(time.monotonic() + 0.5):
        EmailChannel().send(NOTICE)
    assert len(server.accepted) == 1


def test_ten_slow_mails_end_by_themselves_and_none_overstays(server, settings):
    """Calls that had to be given up would count as overstayed, and end the process at eight."""
    limits = settings.PROVIDERS["notifications"] | {"TOTAL_DEADLINE_SECONDS": 0.3, "CALL_SLOTS": 10}
    settings.PROVIDERS = settings.PROVIDERS | {"notifications": limits}
    server.pauses = {"GREETING": 4.0}
    gate = Gate("notifications")
    ends_at = time.monotonic() + 0.3
    futures = [gate.submit(lambda: EmailChannel().send(NOTICE), ends_at=ends_at) for _ in range(10)]
    ended = [type(future.exception(5)) for future in futures]
    assert ended == [OutcomeUnknown] * 10
    assert (gate.overstayed(), server.accepted) == (0, [])
