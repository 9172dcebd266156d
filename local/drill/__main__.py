"""`python -m local.drill`: what `make drill` and `manage.py drill` start."""

import argparse
import signal
import sys
from collections.abc import Sequence
from types import FrameType

from local.drill.drill import Drill, plan
from local.drill.options import ABOUT, Options, add_arguments, chosen
from local.drill.progress import Progress
from local.drill.verdict import COULD_NOT_RUN
from local.errors import LocalError
from local.program import ENDING_SIGNALS
from local.screen import one_line

INTERRUPTED = 130


def run(options: Options) -> int:
    """The exit status; everything that goes wrong on this machine is a sentence."""
    if options.only_plan:
        print("\n".join(plan(options).lines()))
        return 0
    for number in ENDING_SIGNALS:
        signal.signal(number, _interrupt)
    progress = Progress(out=sys.stderr if options.as_json else sys.stdout)
    try:
        return Drill(options, progress).run()
    except LocalError as error:
        progress.say("")
        print(f"The drill could not run: {error}", file=sys.stderr)
        return COULD_NOT_RUN
    except OSError as error:
        progress.say("")
        print(f"The drill could not run: the system refused something: {one_line(str(error))}", file=sys.stderr)
        return COULD_NOT_RUN
    except KeyboardInterrupt:
        progress.step("interrupted; everything has ended")
        return INTERRUPTED


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m local.drill", description=ABOUT)
    add_arguments(parser)
    given = parser.parse_args(arguments)
    try:
        options = chosen(vars(given))
    except ValueError as error:
        parser.error(str(error))
    return run(options)


def _interrupt(number: int, frame: FrameType | None) -> None:
    """The first signal begins the end; the end is bounded, so further ones need not hurry it."""
    for ended_by in ENDING_SIGNALS:
        signal.signal(ended_by, signal.SIG_IGN)
    raise KeyboardInterrupt


if __name__ == "__main__":
    sys.exit(main())
