"""Files are written whole or not at all."""

import errno
import os
import stat
from pathlib import Path

import pytest

from jaxmnist.files import atomic_remove, atomic_rename, atomic_write, can_sync


def test_a_file_is_replaced_and_nothing_else_is_left(tmp_path: Path) -> None:
    path = tmp_path / "a.pth"
    neighbour = tmp_path / "a.partial"
    neighbour.write_text("somebody else's")
    for content in (b"one", "two"):
        assert atomic_write(path, content) == path
    assert path.read_text() == "two"
    assert neighbour.read_text() == "somebody else's"
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a.partial", "a.pth"]


def test_a_failure_leaves_what_was_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "a"
    path.write_text("old")

    def full(number: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(OSError, match="No space"):
        atomic_write(path, "new")
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("number", [errno.EINVAL, errno.ENOTSUP, errno.ENOSYS])
def test_a_folder_that_cannot_be_synced_is_no_fault(
    number: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sync = os.fsync

    def of_files(descriptor: int) -> None:
        if stat.S_ISDIR(os.fstat(descriptor).st_mode):
            raise OSError(number, os.strerror(number))
        sync(descriptor)

    monkeypatch.setattr("os.fsync", of_files)
    assert not can_sync(tmp_path)
    atomic_write(tmp_path / "a", "new")
    (tmp_path / "x.partial").mkdir()
    (tmp_path / "x.partial" / "b").write_text("b")
    atomic_rename(tmp_path / "x.partial", tmp_path / "x")
    assert (tmp_path / "x" / "b").read_text() == "b"
    monkeypatch.undo()
    assert can_sync(tmp_path)


def test_a_folder_is_no_file(tmp_path: Path) -> None:
    with pytest.raises(IsADirectoryError):
        atomic_write(tmp_path, "text")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("writes", [3, 1_000])
def test_a_folder_is_removed_while_others_still_write_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, writes: int
) -> None:
    """As the threads of a save do that has failed; one that never ends is an error."""
    folder, left = tmp_path / "a", [writes]
    (folder / "d").mkdir(parents=True)
    rmdir = os.rmdir

    def write_first(path: str, **options: int) -> None:
        if path == "d" and left[0]:
            left[0] -= 1
            (tmp_path / "a.partial" / "d" / str(left[0])).touch()
        rmdir(path, **options)

    monkeypatch.setattr(os, "rmdir", write_first)
    if writes < 100:
        atomic_remove(folder)
        assert not any(tmp_path.iterdir())
    else:
        with pytest.raises(OSError, match="not empty"):
            atomic_remove(folder)
