"""Files and functions stay small enough to be read in one go; docs/decisions say why these numbers."""

import statistics

from tests.architecture.tree import OURS, sources

FILE_LINES_MAX = 300
TEST_FILE_LINES_MAX = 400
FUNCTION_LINES_MAX = 50
PARAMETERS_MAX = 5
# Every setting in one file is worth more than its length.
MAY_BE_LONGER = {"orders_project/settings.py"}


def _function_lines():
    for source in sources(*OURS):
        for function in source.functions():
            yield f"{source.path}:{function.name}", (function.end_lineno or 0) - function.lineno + 1


def test_no_file_is_too_long():
    too_long = {
        source.path: source.line_count
        for source in sources(*OURS)
        if source.path not in MAY_BE_LONGER
        and source.line_count > (TEST_FILE_LINES_MAX if source.path.startswith("tests/") else FILE_LINES_MAX)
    }

    assert too_long == {}


def test_no_function_is_too_long():
    too_long = {name: lines for name, lines in _function_lines() if lines > FUNCTION_LINES_MAX}

    assert too_long == {}


def test_the_sizes_are_told_to_whoever_looks(record_property):
    lines = sorted(lines for _, lines in _function_lines())

    record_property("function_lines_median", statistics.median(lines))
    record_property("function_lines_p90", lines[int(len(lines) * 0.9)])
    assert lines[0] >= 1


def test_every_module_opens_with_its_role():
    silent = [
        source.path
        for source in sources(*OURS)
        if source.tree.body and not (source.tree.body[0].__class__.__name__ == "Expr" and source.text.startswith('"""'))
    ]

    assert silent == []


def test_no_function_takes_a_boolean_or_more_than_five_values_by_position():
    too_many = []
    for source in sources(*OURS):
        for function in source.functions():
            names = [argument.arg for argument in (*function.args.posonlyargs, *function.args.args)]
            fixtures = source.path.startswith("tests/")
            if len([name for name in names if name not in ("self", "cls")]) > PARAMETERS_MAX and not fixtures:
                too_many.append(f"{source.path}:{function.name}")

    assert too_many == []
