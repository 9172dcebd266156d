"""System checks: what the engine takes for granted about the settings, proved before a process serves.

Guarantee: `manage.py check`, a web process and a worker refuse settings under which a promise could not hold;
`check --deploy` also refuses default secrets and plain connections to other machines.
It does not guarantee that a machine keeps up: limits are checked, capacity is not. Each app checks what is its own
(`providers.checks`); here stand the relations between apps.
"""

import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import fields
from difflib import get_close_matches
from typing import Any

from django.conf import settings
from django.core.checks import CheckMessage, Error, register, run_checks

from idempotency.conf import IdempotencyConf
from idempotency.conf import conf as idempotency_conf
from outbox import routing
from outbox.conf import OutboxConf
from outbox.conf import conf as outbox_conf
from sagas.conf import SagasConf
from sagas.conf import conf as sagas_conf

TAG = "orders_project"
BATCH_MAX = 500
# Between a batch's last confirm and the end of its claim the relay must be able to finish its rows.
SEND_MARGIN_SECONDS = 5.0
DEFAULT_SECRET_KEY = "insecure-development-key"  # noqa: S105 - the value that is refused
_OTHER_POOLS = frozenset({"threads", "solo", "--pool=threads", "--pool=solo", "-Pthreads", "-Psolo"})
_GROUPS: Mapping[str, type] = {"OUTBOX": OutboxConf, "SAGAS": SagasConf, "IDEMPOTENCY": IdempotencyConf}


def refuse_unsafe_configuration(**_: object) -> None:
    """Ends a process that must not start. Gunicorn runs no system checks, and Celery ignores what they say."""
    messages = [*run_checks(tags=[TAG]), *check_secret_key(None)]
    errors = [message for message in messages if message.is_serious() and not message.is_silenced()]
    if errors:
        raise SystemExit("\n".join(str(error) for error in errors))


@register(TAG)
def check_known_keys(app_configs: object, **_: Any) -> list[CheckMessage]:
    return [message for group, conf in _GROUPS.items() for message in _unknown_keys(group, conf)]


@register(TAG)
def check_times(app_configs: object, **_: Any) -> list[CheckMessage]:
    """Bounds inside a claim are shorter than it (I6), memories longer than what they must remember (I5)."""
    if check_known_keys(None):
        return []
    conf = outbox_conf()
    shortest_claim = min(conf.claim_seconds, conf.remote_claim_seconds)
    return [
        *_below("DATABASE_STATEMENT_TIMEOUT_SECONDS", shortest_claim, error_id="E002"),
        *_below("DATABASE_LOCK_TIMEOUT_SECONDS", shortest_claim, error_id="E003"),
        *_below("DATABASE_IDLE_IN_TRANSACTION_TIMEOUT_SECONDS", shortest_claim, error_id="E004"),
        *_sends(conf),
        *_below("CELERY_TASK_SOFT_TIME_LIMIT", settings.CELERY_TASK_TIME_LIMIT, error_id="E010"),
        *_below("CELERY_TASK_TIME_LIMIT", conf.claim_seconds, error_id="E010"),
        *_retentions(conf),
        *_backoff(conf),
    ]


@register(TAG)
def check_bounds(app_configs: object, **_: Any) -> list[CheckMessage]:
    """Limits on everything: a batch above its bound would hold locks for longer than a claim lasts."""
    if check_known_keys(None):
        return []
    outbox, sagas, idempotency = outbox_conf(), sagas_conf(), idempotency_conf()
    return [
        *_within("OUTBOX['RELAY_BATCH_SIZE']", outbox.relay_batch_size, BATCH_MAX),
        *_within("OUTBOX['CLAIM_BATCH_MAX_SIZE']", outbox.claim_batch_max_size, BATCH_MAX),
        *_within("OUTBOX['CLAIM_BATCH_SIZE']", outbox.claim_batch_size, outbox.claim_batch_max_size),
        *_within("OUTBOX['POLL_INTERVAL_MS']", outbox.poll_interval_ms, 60_000),
        *_within("OUTBOX['MAX_ATTEMPTS']", outbox.max_attempts, 100),
        *_within("SAGAS['STEP_MAX_ATTEMPTS']", sagas.step_max_attempts, 100),
        # The CHECK of idempotency's table holds the same bound.
        *_within("IDEMPOTENCY['STORED_ANSWER_MAX_BYTES']", idempotency.stored_answer_max_bytes, 65_536),
        # A purge of what has just ended would take what an operator, or a late answer, still needs.
        *_not_negative("OUTBOX['RETENTION_DAYS']", outbox.retention_days),
        *_not_negative("SAGAS['RETENTION_DAYS']", sagas.retention_days),
        *_above_zero("SAGAS['DEADLINE_HOURS']", sagas.deadline_hours),
        *_above_zero("SAGAS['SWEEP_INTERVAL_SECONDS']", sagas.sweep_interval_seconds),
        *_above_zero("IDEMPOTENCY['LIFETIME_HOURS']", idempotency.lifetime_hours),
        *_above_zero("IDEMPOTENCY['REQUEST_THREADS']", idempotency.request_threads),
        *_waiting_share(idempotency.waiting_threads_max_share),
    ]


@register(TAG, deploy=True)
def check_secret_key(app_configs: object, **_: Any) -> list[CheckMessage]:
    """Asked of `check --deploy` and of what serves: a fresh clone may still make migrations without any setting."""
    if settings.DEBUG or settings.SECRET_KEY != DEFAULT_SECRET_KEY:
        return []
    hint = "Set SECRET_KEY to 50 random characters, or DEBUG=1 on a machine of your own."
    return [_error("SECRET_KEY is the development default while DEBUG is off.", "E008", hint=hint)]


@register(TAG)
def check_pool(app_configs: object, **_: Any) -> list[CheckMessage]:
    """A pool's threads and locks do not survive the fork of a prefork worker."""
    if settings.DATABASE_POOL_MAX_SIZE <= 0 or not is_prefork_worker(sys.argv):
        return []
    hint = "Unset DATABASE_POOL_MAX_SIZE for this worker: each of its processes keeps one connection."
    return [_error("A prefork worker was started with a connection pool.", "E009", hint=hint)]


@register(TAG)
def check_threads(app_configs: object, **_: Any) -> list[CheckMessage]:
    """A slow provider holds at most two threads per destination: one run that claims, one that awaits its last answers
    (outbox.remote). With fewer threads than that for all of them, a slow carrier could starve payments."""
    threads = threads_of_worker(sys.argv)
    if threads is None:
        return []
    queues = _option(sys.argv, "--queues", "-Q").split(",")
    needed = 2 * sum(one.remote and one.queue in queues for one in routing.all_inside())
    if threads >= needed:
        return []
    text = f"A worker of {threads} threads serves queues whose destinations may hold {needed}."
    return [_error(text, "E012", hint=f"Start it with --concurrency {needed}, or with fewer queues.")]


def threads_of_worker(arguments: Sequence[str]) -> int | None:
    """How many threads this command line starts; None when it starts no worker of threads, or leaves it to Celery."""
    is_worker = bool(arguments) and "celery" in arguments[0] and "worker" in arguments
    count = _option(arguments, "--concurrency", "-c")
    return int(count) if is_worker and _option(arguments, "--pool", "-P") == "threads" and count.isdecimal() else None


def _option(arguments: Sequence[str], long: str, short: str) -> str:
    """The value of a command line's option, written in any of Celery's four ways; "" without it."""
    for word, following in zip(arguments, [*arguments[1:], ""], strict=True):
        if word in {long, short}:
            return following
        if word.startswith(f"{long}="):
            return word.removeprefix(f"{long}=")
        if word.startswith(short) and not word.startswith("--"):
            return word.removeprefix(short)
    return ""


def is_prefork_worker(arguments: Iterable[str]) -> bool:
    words = list(arguments)
    if not words or "celery" not in words[0] or "worker" not in words:
        return False
    return not any(
        word in {"threads", "solo", "--pool=threads", "--pool=solo", "-Pthreads", "-Psolo"} for word in words
    )


def _unknown_keys(group: str, conf: type) -> Iterator[CheckMessage]:
    known = [field.name.upper() for field in fields(conf)]
    for key in getattr(settings, group):
        if key not in known:
            close = get_close_matches(key, known, n=1)
            hint = f"Did you mean {close[0]}?" if close else f"Known keys: {', '.join(known)}."
            yield _error(f"{group} has an unknown key {key}.", "E001", hint=hint)


def _below(name: str, within: float, *, error_id: str) -> Iterator[CheckMessage]:
    seconds = getattr(settings, name)
    if not 0 < seconds < within:
        text = f"{name} must be above 0 and below {within:g} s, not {seconds:g}."
        yield _error(text, error_id, hint="A worker that hangs must let go before its claim ends.")


def _retentions(conf: OutboxConf) -> Iterator[CheckMessage]:
    if conf.inbox_retention_days <= conf.retention_days:
        text = "OUTBOX['INBOX_RETENTION_DAYS'] must exceed OUTBOX['RETENTION_DAYS']."
        yield _error(text, "E005", hint="A row that can still be sent again must still be known to its consumer.")


def _sends(conf: OutboxConf) -> Iterator[CheckMessage]:
    if settings.RABBITMQ_URL:
        longest = conf.remote_claim_seconds - SEND_MARGIN_SECONDS
        yield from _below("RABBITMQ_SEND_SECONDS", longest, error_id="E011")


def _backoff(conf: OutboxConf) -> Iterator[CheckMessage]:
    if not 0 < conf.backoff_base_seconds <= conf.backoff_cap_seconds:
        yield _error("OUTBOX: 0 < BACKOFF_BASE_SECONDS <= BACKOFF_CAP_SECONDS must hold.", "E006")


def _within(name: str, value: int, maximum: int) -> Iterator[CheckMessage]:
    if not 1 <= value <= maximum:
        yield _error(f"{name} must be between 1 and {maximum}, not {value}.", "E007")


def _above_zero(name: str, value: float) -> Iterator[CheckMessage]:
    # `not >` refuses NaN too.
    if not value > 0:
        yield _error(f"{name} must be above 0, not {value:g}.", "E007")


def _not_negative(name: str, value: float) -> Iterator[CheckMessage]:
    # 0 purges whatever has ended, at once: F18 proves that no promise needs it.
    if not value >= 0:
        yield _error(f"{name} must be 0 or more, not {value:g}.", "E007")


def _waiting_share(share: float) -> Iterator[CheckMessage]:
    if not 0 < share < 1:
        text = f"IDEMPOTENCY['WAITING_THREADS_MAX_SHARE'] must be above 0 and below 1, not {share:g}."
        yield _error(text, "E007", hint="Were all threads to wait for twins, nobody would answer the twins.")


def _error(text: str, number: str, *, hint: str | None = None) -> Error:
    return Error(text, hint=hint, id=f"orders_project.{number}")
