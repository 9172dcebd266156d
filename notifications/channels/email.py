"""E-mail through Django's mail backend (EMAIL_URL), within the deadline of the attempt.

Does not guarantee that a mail is sent once: a timeout after the server has it all leaves the outcome unknown, SMTP has
no way to ask, and the mail goes again under the same Message-ID.
"""

import smtplib

from django.conf import settings
from django.core.mail import EmailMessage, get_connection

from notifications.channels.base import Notice
from providers.errors import OutcomeUnknown, Refused, Unavailable

# Django's own backend has a timeout for each step and none for all of them.
PUNCTUAL = {"django.core.mail.backends.smtp.EmailBackend": "notifications.channels.smtp.PunctualBackend"}


class EmailChannel:
    def send(self, notice: Notice) -> None:
        mail = EmailMessage(
            subject=notice.subject,
            body=notice.body,
            to=[notice.address],
            headers={"Message-ID": notice.message_id},
            connection=get_connection(PUNCTUAL.get(settings.EMAIL_BACKEND, settings.EMAIL_BACKEND)),
        )
        try:
            mail.send(fail_silently=False)
        except smtplib.SMTPRecipientsRefused as error:
            raise _refused_or_later(error, notice.address) from error
        except (smtplib.SMTPConnectError, smtplib.SMTPHeloError, smtplib.SMTPAuthenticationError) as error:
            raise Unavailable(str(error)) from error
        except (ConnectionRefusedError, smtplib.SMTPSenderRefused) as error:
            raise Unavailable(str(error)) from error
        except (smtplib.SMTPException, OSError) as error:
            raise OutcomeUnknown(str(error)) from error


def _refused_or_later(error: smtplib.SMTPRecipientsRefused, address: str) -> Refused | Unavailable:
    """A 5xx reply says that there is no such recipient; a 4xx one, to come back later (RFC 5321, 4.2.1)."""
    code, _ = error.recipients.get(address, (550, b""))
    return Refused("no_such_recipient") if code >= 500 else Unavailable(f"SMTP {code}")
