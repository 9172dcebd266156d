"""What may go wrong on somebody's machine, told in one sentence.

    LocalError
    ├── NoRoom            the disk is full, or nearly
    ├── NotWritable       a folder cannot be written
    ├── NotAPort          what was asked for as a port is none
    ├── PortTaken         a port that was asked for by name belongs to another program
    ├── ServerMissing     no Postgres or Valkey was found to start
    ├── ServerUnreachable a server that the environment names does not answer
    └── StartFailed       a program ended, or did not answer, while it was started

The commands print the sentence and end with status 1; a traceback means a defect of ours.
"""


class LocalError(Exception):
    """Something on this machine is in the way; the message is the whole explanation."""


class NoRoom(LocalError):
    """The disk is full, or nearly."""


class NotWritable(LocalError):
    """A folder cannot be written."""


class NotAPort(LocalError):
    """What was asked for as a port is none."""


class PortTaken(LocalError):
    """A port that was asked for by name belongs to another program."""


class ServerMissing(LocalError):
    """No Postgres or Valkey was found to start."""


class ServerUnreachable(LocalError):
    """A server that the environment names does not answer."""


class StartFailed(LocalError):
    """A program ended, or did not answer, while it was started."""
