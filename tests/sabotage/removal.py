"""Two ways to take a guard out of a process: an edit of one function or statement, and SQL on the test database.

Guarantee: an edit whose text is not found exactly once is an error, so a guard that was rewritten cannot be passed over
in silence; every reference to an edited function runs the edited code, wherever it was imported to or bound.
Not guaranteed: anything about processes that a test starts; what must catch a guard runs in this one.
"""

import __future__

import ast
import importlib
import inspect
import textwrap
from dataclasses import dataclass
from types import FunctionType, ModuleType
from typing import Any, Protocol

# Of functions that were edited: a second edit starts from the first.
sources: dict[FunctionType, str] = {}


class GuardNotFound(Exception):
    """What is to be removed is not there: the list of guards is behind the code."""


class Removal(Protocol):
    """One layer of a guard, taken out."""

    needs_database: bool

    def remove(self) -> None: ...


@dataclass(frozen=True)
class Edit:
    """Replaces `old` by `new` in a function's source, or in a module's SQL constant, named by its dotted path."""

    target: str
    old: str
    new: str = ""
    needs_database = False

    def remove(self) -> None:
        owner, name = _owner(self.target)
        value = inspect.getattr_static(owner, name)
        if isinstance(value, str):
            setattr(owner, name, self._edited(value))
        else:
            # The code object is exchanged, so that whoever holds the function runs the edited one.
            function = _function(value)
            sources[function] = self._edited(_source(function))
            function.__code__ = _compiled(function, sources[function]).__code__

    def check(self) -> None:
        """Raises GuardNotFound when there is nothing to remove."""
        owner, name = _owner(self.target)
        value = inspect.getattr_static(owner, name)
        self._edited(value if isinstance(value, str) else _source(_function(value)))

    def _edited(self, text: str) -> str:
        found = text.count(self.old)
        if found != 1:
            raise GuardNotFound(f"{self.target}: {self.old!r} stands there {found} times, not once")
        return text.replace(self.old, self.new)


@dataclass(frozen=True)
class Sql:
    """Runs a statement on the test database, once it is set up: a constraint, an index or a trigger goes."""

    statement: str
    needs_database = True

    def remove(self) -> None:
        from django.db import connection  # Django is set up by the time that a guard is removed

        with connection.cursor() as cursor:
            cursor.execute(self.statement)


def constraint(table: str, name: str) -> Sql:
    return Sql(f"ALTER TABLE {table} DROP CONSTRAINT {name}")


def index(name: str) -> Sql:
    """A partial unique index: Django names it as it names a constraint."""
    return Sql(f"DROP INDEX {name}")


def trigger(table: str, name: str) -> Sql:
    return Sql(f"DROP TRIGGER {name} ON {table}")


def _owner(target: str) -> tuple[Any, str]:
    """The module or class that holds what a dotted path names."""
    path, _, name = target.rpartition(".")
    owner: Any = _module(path)
    for part in path.removeprefix(owner.__name__).strip(".").split("."):
        owner = getattr(owner, part) if part else owner
    if name not in vars(owner):
        raise GuardNotFound(f"{target} is not there")
    return owner, name


def _module(path: str) -> ModuleType:
    try:
        return importlib.import_module(path)
    except ModuleNotFoundError as error:
        parent, _, _ = path.rpartition(".")
        if not parent:
            raise GuardNotFound(f"no module {path}") from error
        return _module(parent)


def _function(value: Any) -> FunctionType:
    """The function itself, out of its property and its decorators."""
    function: Any = inspect.unwrap(getattr(value, "fget", value))
    if not isinstance(function, FunctionType):
        raise GuardNotFound(f"{value!r} is no function")
    return function


def _source(function: FunctionType) -> str:
    return sources.get(function) or textwrap.dedent(inspect.getsource(function))


def _compiled(function: FunctionType, source: str) -> FunctionType:
    tree = ast.parse(source)
    for statement in tree.body:
        if isinstance(statement, ast.FunctionDef):
            statement.decorator_list = []  # they hold the function already
    code = compile(tree, f"<{function.__qualname__}, sabotaged>", "exec", flags=__future__.annotations.compiler_flag)
    made: dict[str, Any] = {}
    exec(code, function.__globals__, made)
    edited: FunctionType = made[function.__name__]
    return edited
