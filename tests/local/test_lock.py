"""A requirement that was changed without a new lock is noticed, offline."""

import pytest

from local import lock


@pytest.fixture
def project(tmp_path, monkeypatch):
    monkeypatch.setattr(lock, "PROJECT_DIR", tmp_path)
    (tmp_path / "requirements.in").write_text("# why\nDjango>=5\n")
    (tmp_path / "requirements-dev.in").write_text("-r requirements.in\npytest\n")
    for name in ("requirements", "requirements-dev"):
        (tmp_path / f"{name}.txt").write_text("django==5.2 --hash=sha256:0\n")
        lock.stamp(name)
    return tmp_path


def test_a_fresh_lock_is_fresh_and_keeps_its_lines(project):
    assert lock.is_fresh("requirements")
    assert (project / "requirements.txt").read_text().splitlines()[1:] == ["django==5.2 --hash=sha256:0"]


def test_a_comment_may_change_without_a_new_lock(project):
    (project / "requirements.in").write_text("# because\nDjango>=5  # LTS\n")

    assert lock.is_fresh("requirements")


def test_a_changed_source_makes_its_lock_and_those_that_include_it_stale(project):
    (project / "requirements.in").write_text("Django>=6\n")

    assert not lock.is_fresh("requirements")
    assert not lock.is_fresh("requirements-dev")


def test_stamping_twice_leaves_one_stamp(project):
    lock.stamp("requirements")

    assert (project / "requirements.txt").read_text().count(lock.DIGEST_PREFIX) == 1
