"""`make reset`: forgets the local databases, passwords, ports and logs. Refuses while something uses them."""

import shutil
import sys

from local.errors import LocalError, NotWritable
from local.folder import Folder, local_dir
from local.postgres import Postgres
from local.run_file import end_leftovers


def reset() -> list[str]:
    """Returns the folders that it forgot. Raises LocalError."""
    root = local_dir()
    if not root.exists():
        return []
    folders = [Folder(root), *(Folder(path) for path in sorted(root.glob("test*")) if path.is_dir())]
    locks = [(folder, folder.hold()) for folder in folders]
    for folder, lock in locks:
        if lock is None:
            raise LocalError(f"{folder.path} is in use by a running command: end it first (Ctrl-C in its shell).")
    end_leftovers(folders[0])
    homes = {Postgres(folder).home for folder in folders} | {root}
    for home in sorted(homes):
        try:
            shutil.rmtree(home, ignore_errors=home != root)
        except OSError as error:
            raise NotWritable(f"Cannot remove {error.filename} ({error.strerror}).") from None
    return [str(home) for home in sorted(homes) if root not in home.parents]


def main() -> int:
    try:
        forgotten = reset()
    except LocalError as error:
        print(error, file=sys.stderr)
        return 1
    print(f"Forgotten: {', '.join(forgotten)}" if forgotten else "There was nothing to forget.")
    return 0


if __name__ == "__main__":
    sys.exit(main())
