"""A folder is held by one command at a time, and what is in the way is told in a sentence."""

import shutil
from collections import namedtuple

import pytest

from local.errors import NoRoom, NotWritable
from local.folder import Folder

Usage = namedtuple("Usage", "total used free")


def test_a_second_command_does_not_get_a_folder_that_is_held(tmp_path):
    first = Folder(tmp_path).hold()

    assert Folder(tmp_path).hold() is None
    first.close()
    assert Folder(tmp_path).hold() is not None


def test_a_folder_that_cannot_be_written_is_told_in_a_sentence(tmp_path):
    (tmp_path / "file").write_text("")

    with pytest.raises(NotWritable, match=r"Cannot write to .*: set ORDERS_LOCAL_DIR to a folder of yours"):
        Folder(tmp_path / "file" / "below").make()


def test_a_full_disk_is_told_in_a_sentence(tmp_path, monkeypatch):
    monkeypatch.setattr(shutil, "disk_usage", lambda path: Usage(100, 95, 5 * 2**20))

    with pytest.raises(NoRoom, match="has 5 MB left and the local servers need 300 MB"):
        Folder(tmp_path).make()


def test_what_is_remembered_is_private_to_its_owner(tmp_path):
    Folder(tmp_path).write_json("credentials.json", {"token": "secret"})

    assert (tmp_path / "credentials.json").stat().st_mode & 0o077 == 0
    assert Folder(tmp_path).read_json("credentials.json") == {"token": "secret"}


def test_what_is_not_there_or_not_an_object_reads_as_nothing(tmp_path):
    (tmp_path / "list.json").write_text("[1]")

    assert Folder(tmp_path).read_json("missing.json") == {}
    assert Folder(tmp_path).read_json("list.json") == {}
