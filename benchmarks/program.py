"""What every benchmark's command line shares: its options, and a report that is shown, and kept when asked.

python -m benchmarks.p5 --rounds 3 --keep
"""

import argparse
import sys
from collections.abc import Callable

from benchmarks.report import Report


def parser(doc: str | None, target: str, *, rounds: int) -> argparse.ArgumentParser:
    made = argparse.ArgumentParser(prog=f"python -m benchmarks.{target}", description=(doc or "").splitlines()[0])
    made.add_argument("--rounds", type=int, default=rounds, help=f"alternating rounds (default {rounds})")
    made.add_argument("--keep", action="store_true", help="write benchmarks/results/*.json")
    return made


def run(measure: Callable[[argparse.Namespace], Report], options: argparse.Namespace) -> None:
    """Measures, shows, keeps; the exit status tells whether every criterion was met."""
    report = measure(options)
    report.show()
    if options.keep:
        report.write()
    sys.exit(0 if report.met else 1)
