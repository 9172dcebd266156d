"""Folders for servers that tests start."""

import shutil

import pytest

from local.folder import Folder
from local.unprivileged import home_for


@pytest.fixture(scope="module")
def server_folder(tmp_path_factory):
    """Shared by a module's tests: preparing a cluster takes a second. For root it has a part outside, removed too."""
    folder = Folder(tmp_path_factory.mktemp("servers"))
    yield folder
    shutil.rmtree(home_for(folder.path))
