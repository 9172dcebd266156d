"""One way into Celery, one way out of Postgres, no hidden wires: what must never be called, is not."""

import ast

from tests.architecture.tree import DEPLOYED, called_name, sources

BELL = "outbox/bell.py"
WAKE_UP = "outbox/wakeup.py"
SIGNALS = ("django.dispatch", "django.db.models.signals", "django.core.signals", "blinker")
BANNED_WORDS = {
    "job", "handler", "listener", "dispatcher", "workflow", "activity", "rollback", "poison", "clean", "prune",
    "utils", "helpers", "common", "misc", "util", "helper",
}  # fmt: skip
# Names that Django, DRF or Python chose; we only fill them in.
GIVEN_NAMES = {
    "exception_handler", "clean", "rollback", "handler404", "handler500",
}  # fmt: skip


def _calls_of(*names: str, allowed: str) -> list[str]:
    return [
        f"{source.path}:{call.lineno}"
        for source in sources(*DEPLOYED)
        for call in source.calls()
        if called_name(call) in names and source.path != allowed and ast.unparse(call.func) != "backoff.delay"
    ]


def test_only_the_bell_hands_anything_to_celery():
    assert _calls_of("delay", "apply_async", "send_task", "signature", allowed=BELL) == []


def test_only_the_wake_up_waits_for_a_commit():
    assert _calls_of("on_commit", allowed=WAKE_UP) == []


def test_nobody_uses_django_signals():
    users = [
        source.path
        for source in sources(*DEPLOYED, "local")
        for node in ast.walk(source.tree)
        if isinstance(node, ast.Import | ast.ImportFrom)
        for name in [getattr(node, "module", None) or "", *(alias.name for alias in node.names)]
        if name.startswith(SIGNALS)
    ]

    assert users == []


def test_nobody_gives_celery_a_time_to_wait():
    waiting = [
        f"{source.path}:{call.lineno}"
        for source in sources(*DEPLOYED)
        for call in source.calls()
        if {keyword.arg for keyword in call.keywords} & {"eta", "countdown"}
    ]

    assert waiting == []


def test_one_word_is_used_for_one_thing():
    banned = set()
    for source in sources(*DEPLOYED, "local", "deploy"):
        file_words = set(source.path.removesuffix(".py").replace("/", "_").split("_"))
        banned |= {f"{source.path} (its name)" for _ in file_words & BANNED_WORDS}
        banned |= {f"{source.path}: {name}" for name in _names(source.tree) if _has_banned_word(name)}

    assert banned == set()


def _names(tree: ast.Module) -> set[str]:
    """What the file itself names: functions, classes, arguments, variables."""
    names = set()
    for node in ast.walk(tree):
        match node:
            case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name) | ast.ClassDef(name=name):
                names.add(name)
            case ast.arg(arg=name) | ast.Name(id=name, ctx=ast.Store()):
                names.add(name)
            case _:
                pass
    return names - GIVEN_NAMES


def _has_banned_word(name: str) -> bool:
    words = "".join(f"_{letter.lower()}" if letter.isupper() else letter for letter in name).split("_")
    if name.isupper():
        words = name.lower().split("_")
    return not BANNED_WORDS.isdisjoint(words)
