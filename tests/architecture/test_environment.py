"""Whoever deploys the service finds every variable in one file."""

import re

from tests.architecture.tree import DEPLOYED, ROOT, sources

READ = re.compile(
    r"""(?:\benv\.\w+|environ\.get|environ\.setdefault|getenv|environ\[)\s*\(?\s*["']([A-Z][A-Z0-9_]+)["']"""
)
DOCUMENTED = re.compile(r"^#?([A-Z][A-Z0-9_]+)=", re.MULTILINE)
# Named by Django, not by us.
GIVEN = {"DJANGO_SETTINGS_MODULE"}


def _read() -> set[str]:
    texts = [source.text for source in sources(*DEPLOYED)] + [(ROOT / "gunicorn.conf.py").read_text()]
    return {name for text in texts for name in READ.findall(text)} - GIVEN


def _documented() -> set[str]:
    return set(DOCUMENTED.findall((ROOT / ".env.example").read_text()))


def test_every_environment_variable_is_in_the_example():
    assert "DATABASE_URL" in _read()
    assert _read() - _documented() == set()


def test_the_example_names_nothing_that_nobody_reads():
    compose = (ROOT / "docker-compose.yml").read_text()
    local = "".join(source.text for source in sources("local"))
    unread = {name for name in _documented() - _read() if name not in compose and name not in local}

    assert unread == set()


def test_every_variable_of_the_compose_file_is_in_the_example():
    used = set(re.findall(r"\$\{([A-Z_]+)", (ROOT / "docker-compose.yml").read_text()))

    assert used - _documented() == set()
