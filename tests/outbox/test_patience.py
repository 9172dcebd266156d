"""A question to a server that may not answer: its answer, its error, or the end of patience."""

import threading

import pytest

from outbox.patience import within


def test_what_is_answered_in_time_is_the_answer():
    assert within(30, lambda: "here") == "here"
    assert within(30, lambda: None) is None


def test_what_is_raised_is_raised_here():
    def refuse():
        raise OSError("no route")

    with pytest.raises(OSError, match="no route"):
        within(30, refuse)


def test_who_does_not_answer_is_left_behind():
    answer = threading.Event()
    with pytest.raises(TimeoutError, match=r"no answer within 0\.05 s"):
        within(0.05, answer.wait)
    answer.set()
