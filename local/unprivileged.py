"""Running Postgres on a machine where we are root: it refuses root, so it runs as `nobody`.

Guarantees that what the server must reach is reachable for it. As a normal user nothing here changes anything.
"""

import hashlib
import os
import pwd
import shutil
from collections.abc import Callable
from pathlib import Path

SERVER_USER = "nobody"


def is_root() -> bool:
    return os.geteuid() == 0


def home_for(folder: Path) -> Path:
    """`folder` itself, or for root under a closed folder (such as /root) one of the same machine that is open."""
    if not is_root() or _is_open_to_everyone(folder):
        return folder
    home = Path("/var/tmp") / f"orders-{hashlib.sha256(str(folder).encode()).hexdigest()[:12]}"  # noqa: S108 - ours
    home.mkdir(mode=0o755, exist_ok=True)
    return home


def rights_dropper(*paths: Path) -> Callable[[], None] | None:
    """Hands the paths to the server's user and returns what a child calls before exec; None for a normal user."""
    if not is_root():
        for path in paths:
            path.chmod(0o600) if path.is_file() else path.mkdir(mode=0o700, exist_ok=True)
        return None
    user = pwd.getpwnam(SERVER_USER)
    for path in paths:
        if not path.exists():
            path.mkdir(mode=0o700)
        path.chmod(0o600 if path.is_file() else 0o700)
        os.chown(path, user.pw_uid, user.pw_gid)

    def drop() -> None:
        os.setgroups([])
        os.setgid(user.pw_gid)
        os.setuid(user.pw_uid)

    return drop


def copy_readable(source: Path, target: Path) -> None:
    """Copies a tree so that everyone may read it; a copy that was cut off is never taken for a whole one."""
    if target.exists():
        return
    draft = target.with_name(f".{target.name}.{os.getpid()}")
    shutil.copytree(source, draft, symlinks=True)
    for path in [draft, *draft.rglob("*")]:
        if not path.is_symlink():
            path.chmod(0o755 if path.is_dir() or os.access(path, os.X_OK) else 0o644)
    try:
        draft.rename(target)
    except OSError:  # another command was faster
        shutil.rmtree(draft)


def _is_open_to_everyone(folder: Path) -> bool:
    return all(path.stat().st_mode & 0o001 for path in [folder, *folder.parents])
