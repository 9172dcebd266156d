"""The variables that settings are read from, remembered: each with its value, its default and where it came from.

Guarantee: what the process was started with wins over `.env`, and that over `.local/env`; a variable that no file and
no environment names has its default. Not guaranteed: that what was read is sound; system checks say that.
"""

import os
from dataclasses import dataclass, field
from difflib import get_close_matches
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import environ

DEFAULT, ENVIRONMENT = "default", "environment"
MASK = "••••"
SECRET_WORDS = ("SECRET", "PASSWORD", "TOKEN", "API_KEY")
# A name of another program is rarely as near to one of ours as a slip of the finger is.
NEAR = 0.86
# The variables of OpenTelemetry's own SDK, which reads more of them than we name.
OF_THE_SDK = "OTEL_"
# Whatever begins so is meant for us.
FAMILIES = ("IDEMPOTENCY_", "OPERATOR_", "OUTBOX_", "PROVIDER_", "RECONCILIATION_", "SAGA_")
# Read by others than the settings (gunicorn.conf.py, docker-compose.yml, deploy/entrypoint, local/, the SDK of
# OpenTelemetry), or only together with another variable.
READ_ELSEWHERE = frozenset(
    {
        "DJANGO_SETTINGS_MODULE", "OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_PROTOCOL",
        "OTEL_EXPORTER_OTLP_TIMEOUT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_PROTOCOL",
        "OTEL_EXPORTER_OTLP_TRACES_TIMEOUT", "OTEL_SDK_DISABLED", "OTEL_TRACES_EXPORTER", "POSTGRES_PASSWORD",
        "PROMETHEUS_MULTIPROC_DIR", "RABBITMQ_CA_FILE", "RABBITMQ_EVENT_TYPES", "RABBITMQ_PASSWORD", "WEBHOOK_URL",
        "WEB_BIND", "WEB_PORT", "WEB_WORKERS",
    }
)  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class Variable:
    """One variable as it was read."""

    name: str
    value: str
    source: str

    @property
    def shown(self) -> str:
        """Its value for people: a secret only says that it is there."""
        if self.value and any(word in self.name for word in SECRET_WORDS):
            return MASK
        return _without_password(self.value)


@dataclass(frozen=True, kw_only=True)
class Stranger:
    """A variable that looks like one of ours, and that nobody reads."""

    name: str
    source: str
    near: str | None

    @property
    def sentence(self) -> str:
        hint = f": did you mean {self.near}?" if self.near else "."
        return f"{self.name} ({self.source}) is read by nobody{hint}"


@dataclass
class _Read:
    """What all instances have read: settings are read once in a process."""

    # Name → the file that it came from.
    files: dict[str, str] = field(default_factory=dict)
    variables: dict[str, Variable] = field(default_factory=dict)


_read = _Read()


class Environment(environ.Env):
    """django-environ's reader, with a memory."""

    def fill_in(self, path: Path) -> None:
        """Takes from a file what the environment leaves out; one that is not there is none."""
        before = frozenset(os.environ)
        self.read_env(path)
        _read.files |= dict.fromkeys(os.environ.keys() - before, _shown_path(path))

    def get_value(self, var: str, cast: Any = None, default: Any = environ.Env.NOTSET, **options: Any) -> Any:
        value = super().get_value(var, cast=cast, default=default, **options)
        given = os.environ.get(var)
        _read.variables[var] = Variable(
            name=var, value=_as_text(value) if given is None else given, source=source_of(var)
        )
        return value


def source_of(name: str) -> str:
    """Where a variable comes from: the environment, a file, or nowhere."""
    if name in _read.files:
        return _read.files[name]
    return ENVIRONMENT if name in os.environ else DEFAULT


def variables() -> list[Variable]:
    """What the settings were read from, by name."""
    return sorted(_read.variables.values(), key=lambda one: one.name)


def strangers(known: frozenset[str] | None = None) -> list[Stranger]:
    """Variables that look like ours, in the environment or in one of our files, and that nobody reads."""
    known = known or frozenset(_read.variables) | READ_ELSEWHERE
    found = []
    for name in sorted(os.environ):
        if name.startswith(OF_THE_SDK):
            continue
        near = next(iter(get_close_matches(name, known, n=1, cutoff=NEAR)), None)
        if name not in known and (near or name in _read.files or name.startswith(FAMILIES)):
            found.append(Stranger(name=name, source=source_of(name), near=near))
    return found


def _as_text(value: Any) -> str:
    """A default as it would be written in the environment."""
    match value:
        case None:
            return ""
        case bool():
            return "1" if value else "0"
        case list():
            return ",".join(map(str, value))
    return str(value)


def _without_password(value: str) -> str:
    """An address without the password in it; what is no address stays as it is."""
    try:
        address = urlsplit(value)
        if not address.password:
            return value
        host = address.netloc.rpartition("@")[2]
        return urlunsplit(address._replace(netloc=f"{address.username or ''}:{MASK}@{host}"))
    except ValueError:
        return MASK


def _shown_path(path: Path) -> str:
    """Relative to where one stands, when it is below."""
    return str(path.relative_to(Path.cwd())) if path.is_relative_to(Path.cwd()) else str(path)
