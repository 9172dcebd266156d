"""Ports are free, remembered, and never taken from somebody else."""

import socket
import subprocess
import sys

import pytest

from local import ports
from local.errors import NotAPort, PortTaken
from local.folder import PROJECT_DIR, Folder


@pytest.fixture
def folder(tmp_path):
    return Folder(tmp_path)


@pytest.fixture
def taken_port():
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        yield other.getsockname()[1]


def test_a_port_is_the_same_at_the_second_start(folder):
    first = ports.choose(folder, "web")

    assert ports.choose(folder, "web") == first


def test_two_names_never_get_one_port(folder):
    with socket.socket() as web:
        web.bind(("127.0.0.1", ports.choose(folder, "web")))
        web.listen()

        assert ports.choose(folder, "sandbox") != web.getsockname()[1]


def test_a_remembered_port_that_somebody_took_is_replaced(folder, taken_port):
    folder.write_json(ports.REMEMBERED, {"web": taken_port})

    assert ports.choose(folder, "web") != taken_port


def test_the_first_port_is_taken_when_it_is_free(folder, taken_port):
    assert ports.choose(folder, "web", first=taken_port) in range(taken_port + 1, taken_port + 100)


def test_a_port_asked_for_by_name_is_refused_in_a_sentence_when_it_is_taken(taken_port):
    with pytest.raises(PortTaken, match=f"Port {taken_port} is taken by another program: free it, or set WEB_PORT"):
        ports.insist(taken_port, variable="WEB_PORT")


@pytest.mark.parametrize("text", ["abc", "80000", "0", "-1", "²"])
def test_what_is_no_port_is_called_that(text):
    with pytest.raises(NotAPort, match=f"WEB_PORT is '{text}', which is no port: set it to a number from 1 to 65535"):
        ports.parse(text, variable="WEB_PORT")


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere the second copy fails to bind and says so")
def test_a_second_copy_that_starts_at_the_same_moment_chooses_another_port(folder, tmp_path):
    first = ports.choose(folder, "web", first=20_000)
    other = (
        f"from pathlib import Path; from local import ports; from local.folder import PROJECT_DIR, Folder; import sys; "
        f"print(ports.choose(Folder(Path(sys.argv[1])), 'web', first={first}))"
    )
    (tmp_path / "other").mkdir()

    told = subprocess.check_output([sys.executable, "-c", other, str(tmp_path / "other")], cwd=PROJECT_DIR, text=True)

    assert ports.is_free(first)
    assert int(told) != first


def test_an_unreadable_memory_of_ports_is_no_hindrance(folder):
    (folder.path / ports.REMEMBERED).write_text("{not json")

    assert ports.is_free(ports.choose(folder, "web"))
