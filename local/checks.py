"""`make check`: everything about the code that can be told without running its tests.

Every check runs, however many failed before it; the exit status tells whether all passed. The same script serves people
and CI. Does not need a network, nor a server of one's own: Postgres is started for the migration checks.
"""

import os
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass

from local import lock
from local.errors import LocalError
from local.folder import PROJECT_DIR
from local.pytest_servers import prepare_environment

PYTHON = sys.executable
# As modules, not by their scripts: those name the folder in which .venv was made, and a tree may be moved.
IMPORT_LINTER = "from importlinter.cli import lint_imports_command; lint_imports_command()"
MANAGE = (PYTHON, "manage.py")

# What a careful operator would set; `check --deploy` must then have nothing to say.
PRODUCTION = {
    "DEBUG": "0",
    "LOCAL_TOOLS": "0",
    "HTTPS_ONLY": "1",
    "BEHIND_TLS_PROXY": "1",
    "SECRET_KEY": "a-production-key-is-long-random-and-kept-in-a-vault-0123456789-abcdefgh",
    "ALLOWED_HOSTS": "orders.example.com",
    "CSRF_TRUSTED_ORIGINS": "https://orders.example.com",
    "DATABASE_URL": "postgres://orders:a-long-random-password@db.example.com:5432/orders?sslmode=verify-full",
    "CELERY_BROKER_URL": "rediss://:a-long-random-password@broker.example.com:6379/0?ssl_cert_reqs=required",
    "THROTTLE_REDIS_URL": "rediss://:a-long-random-password@broker.example.com:6379/1?ssl_cert_reqs=required",
    "SANDBOX_URL": "https://provider.example.com",
    "PAYMENT_API_KEY": "a-key-from-the-provider",
    "CARRIER_API_KEY": "a-key-from-the-carrier",
    "PAYMENT_WEBHOOK_SECRET": "a-secret-from-the-provider",
    "METRICS_TOKEN": "a-long-random-token-for-the-scraper",
    "EMAIL_URL": "smtp+tls://orders:a-long-random-password@mail.example.com:587",
}


@dataclass(frozen=True, kw_only=True)
class Check:
    """A command, or a function that answers what is wrong."""

    name: str
    command: tuple[str, ...] = ()
    environment: Mapping[str, str] | None = None
    ask: Callable[[], list[str]] | None = None


def stale_locks() -> list[str]:
    return [f"{name}.txt is older than its sources: make lock" for name in lock.existing() if not lock.is_fresh(name)]


def checks() -> list[Check]:
    return [
        Check(name="format", command=(PYTHON, "-m", "ruff", "format", "--check", "--quiet", ".")),
        Check(name="lint", command=(PYTHON, "-m", "ruff", "check", "--quiet", ".")),
        Check(name="types", command=(PYTHON, "-m", "mypy", "--no-error-summary", ".")),
        Check(name="import rules", command=(PYTHON, "-c", IMPORT_LINTER, "--no-cache")),
        Check(name="locks", ask=stale_locks),
        Check(
            name="compose file",
            command=(
                *(PYTHON, "-m", "check_jsonschema", "--builtin-schema", "vendor.compose-spec", "docker-compose.yml"),
                *("--quiet",),
            ),
        ),
        Check(name="missing migrations", command=(*MANAGE, "makemigrations", "--check", "--dry-run")),
        Check(name="safe migrations", command=(PYTHON, "-m", "local.migration_safety")),
        Check(name="system checks", command=(*MANAGE, "check", "--fail-level", "WARNING")),
        Check(
            name="deployment checks",
            command=(*MANAGE, "check", "--deploy", "--fail-level", "WARNING"),
            environment=PRODUCTION,
        ),
    ]


def run(check: Check) -> str:
    """What is wrong, or nothing."""
    if check.ask:
        return "\n".join(check.ask())
    result = subprocess.run(
        check.command,
        cwd=PROJECT_DIR,
        env={**os.environ, **(check.environment or {})},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    return result.stdout.strip() or f"status {result.returncode}" if result.returncode else ""


def main() -> int:
    wanted = sys.argv[1:]
    failed = []
    with ExitStack() as ending:
        try:
            ending.enter_context(prepare_environment())
        except LocalError as error:
            print(error, file=sys.stderr)
            return 1
        for check in checks():
            if wanted and check.name not in wanted:
                continue
            began = time.monotonic()
            wrong = run(check)
            print(f"{'FAILED' if wrong else 'ok':<7}{check.name} ({time.monotonic() - began:.1f} s)", flush=True)
            if wrong:
                failed.append(check.name)
                print("\n".join(f"       {line}" for line in wrong.splitlines()), flush=True)
    print(f"{len(failed)} failed: {', '.join(failed)}" if failed else "All checks passed.")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
