"""What a log says fits into a sentence."""

from local.screen import one_line


def test_line_ends_and_written_out_ones_are_spaces():
    assert (
        one_line('connection failed\\n\\tIs the server running?\n  "yes"')
        == 'connection failed Is the server running? "yes"'
    )
