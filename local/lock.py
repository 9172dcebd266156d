"""`make lock`: writes requirements*.txt from requirements*.in, with hashes, for every platform and Python from 3.11 on.

Versions that still fit stay as they are; `make lock ARGS=--upgrade` takes the newest.

Guarantees, with `is_fresh`, that a changed .in file without a new lock is noticed without a network: the lock carries
the digest of what it was compiled from. Does not guarantee that newer versions work: the tests do.
"""

import hashlib
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from local.folder import PROJECT_DIR

LOCKS = ("requirements", "requirements-dev", "requirements-extra")
DIGEST_PREFIX = "# sources sha256: "


def compile_lock(name: str, options: Sequence[str]) -> None:
    """Raises CalledProcessError when the versions do not fit together or the index cannot be reached."""
    target = f"{name}.txt"
    subprocess.run(
        [
            *(sys.executable, "-m", "uv", "pip", "compile", "--universal", "--python-version", "3.11"),
            *("--generate-hashes", "--no-emit-index-url", "--no-emit-find-links", "--quiet"),
            *(*options, f"{name}.in", "--output-file", target),
        ],
        cwd=PROJECT_DIR,
        check=True,
    )
    stamp(name)


def stamp(name: str) -> None:
    """Writes the digest of the sources as the lock's first line."""
    target = PROJECT_DIR / f"{name}.txt"
    lines = [line for line in target.read_text().splitlines() if not line.startswith(DIGEST_PREFIX)]
    target.write_text("\n".join([DIGEST_PREFIX + _digest(name), *lines]) + "\n")


def is_fresh(name: str) -> bool:
    with (PROJECT_DIR / f"{name}.txt").open() as lock:
        return lock.readline().strip() == DIGEST_PREFIX + _digest(name)


def existing() -> list[str]:
    return [name for name in LOCKS if (PROJECT_DIR / f"{name}.in").exists()]


def _digest(name: str) -> str:
    """Of the file's requirements and of those it includes; comments may change freely."""
    return hashlib.sha256("\n".join(_requirements(PROJECT_DIR / f"{name}.in")).encode()).hexdigest()


def _requirements(path: Path) -> list[str]:
    found: list[str] = []
    for line in path.read_text().splitlines():
        requirement = line.partition("#")[0].strip()
        if requirement.startswith("-r "):
            found += _requirements(path.parent / requirement.removeprefix("-r ").strip())
        elif requirement:
            found.append(requirement)
    return found


def main() -> int:
    for name in existing():
        print(f"Compiling {name}.txt", flush=True)
        try:
            compile_lock(name, sys.argv[1:])
        except subprocess.CalledProcessError as error:
            return error.returncode
    return 0


if __name__ == "__main__":
    sys.exit(main())
