"""`python -m tests.sabotage`: removes one guard after the other, and shows which test catches each.

Exit status 0 when every chosen guard is caught, every catching test passes while nothing is removed, and what is said
to be held by another layer is held; else 1.
"""

import argparse
import json
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict

from local.errors import LocalError

from . import runs, table
from .guards import GUARDS, find
from .judge import judge


def main(arguments: Sequence[str] | None = None) -> int:
    options = _options(arguments)
    chosen = [find(name.strip()) for name in options.only.split(",")] if options.only else GUARDS
    began = time.monotonic()
    with runs.servers():
        verdicts = judge(chosen, tell=_nothing if options.json else _say)
    told = [{**asdict(verdict), "holds": verdict.holds} for verdict in verdicts]
    ended = f"{table.render(verdicts)}\n{time.monotonic() - began:.0f} s"
    sys.stdout.write(f"{json.dumps(told, indent=1) if options.json else ended}\n")
    return 0 if all(verdict.holds for verdict in verdicts) else 1


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.sabotage", description="Removes one guard after the other.")
    parser.add_argument("--only", default="", help="these guards, separated by commas; all of them unless given")
    parser.add_argument("--json", action="store_true", help="print the verdicts as JSON")
    options = parser.parse_args(arguments)
    known = {guard.name for guard in GUARDS}
    if unknown := [name for name in map(str.strip, options.only.split(",")) if name and name not in known]:
        parser.error(f"no such guard: {', '.join(unknown)}. There are: {', '.join(sorted(known))}.")
    return options


def _say(line: str) -> None:
    sys.stderr.write(f"{line}\n")
    sys.stderr.flush()


def _nothing(line: str) -> None:
    """Whoever reads JSON wants nothing else."""


if __name__ == "__main__":
    try:
        sys.exit(main())
    except LocalError as error:
        sys.exit(str(error))
