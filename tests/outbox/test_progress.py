"""Progress: a line on a terminal, and silence everywhere else."""

from io import StringIO

import pytest

from outbox.progress import Progress


class Terminal(StringIO):
    def isatty(self) -> bool:
        return True


def test_a_terminal_gets_a_line_that_is_gone_at_the_end():
    out = Terminal()
    with Progress("messages", total=2, out=out) as progress:
        progress.add()
    assert "1 of 2 messages" in out.getvalue()
    assert out.getvalue().endswith("\r\x1b[K")


def test_it_is_not_drawn_for_every_row():
    out = Terminal()
    with Progress("messages", total=10_000, out=out) as progress:
        for _ in range(10_000):
            progress.add()
    assert progress.done == 10_000
    assert out.getvalue().count("of 10,000") < 1_000


@pytest.mark.parametrize(("out", "is_silent"), [(StringIO(), False), (Terminal(), True)])
def test_what_is_no_terminal_or_asked_for_silence_gets_nothing(out, is_silent):
    with Progress("messages", total=2, out=out, is_silent=is_silent) as progress:
        progress.add(2)
    assert out.getvalue() == ""
    assert progress.done == 2


@pytest.mark.parametrize(
    ("total", "done", "line"),
    [
        (200, 50, "[######------------------]  25%  50 of 200 messages, 15 s left"),
        (200, 200, "[########################] 100%  200 of 200 messages"),
        (200, 250, "[########################] 100%  250 of 200 messages"),
        (None, 50, "50 messages, 10/s"),
        (0, 0, "0 messages, 0/s"),
    ],
)
def test_the_line_says_how_far_and_how_long_yet(total, done, line):
    assert Progress("messages", total=total, done=done).line(seconds=5.0) == line
