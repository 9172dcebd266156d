"""`make bench`: every target P1–P9 in turn, then what docs/performance.md and docs/scaling.md show of them.

Guarantees that a target's failure does not keep the next from being measured, and that status 0 means that every
criterion of every target was met. `make bench BENCH=p1` measures one (or "p1 p5").
"""

import argparse
import subprocess
import sys
import time

from benchmarks import page
from benchmarks.report import RESULTS
from local.folder import PROJECT_DIR

# With the minutes each may take on two quiet cores: 30 in all. The last two have no bar to reach.
TARGETS = {"p1": 5, "p2": 4, "p3": 3, "p4": 2, "p5": 3, "p6": 3, "p7": 3, "p8": 2, "p9": 1, "latency": 1, "capacity": 1}


def measure(target: str) -> bool:
    """One target in a process of its own; tells whether it was met."""
    began = time.monotonic()
    print(f"── {target} (budget {TARGETS[target]} min)", flush=True)
    command = [sys.executable, "-m", f"benchmarks.{target}", "--keep"]
    met = subprocess.run(command, cwd=PROJECT_DIR, check=False).returncode == 0
    print(f"  {'met' if met else 'NOT met'} after {(time.monotonic() - began) / 60:.1f} min\n", flush=True)
    return met


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("targets", nargs="*", choices=[*TARGETS, []], metavar="p1 … p9, latency, capacity")
    wanted = parser.parse_args().targets or list(TARGETS)
    missed = [target for target in wanted if not measure(target)]
    page.write()
    print(f"{len(wanted) - len(missed)} of {len(wanted)} measured and met; {RESULTS.relative_to(PROJECT_DIR)}/*.json")
    if missed:
        sys.exit(f"Not met: {', '.join(missed)}")


if __name__ == "__main__":
    main()
