"""Where a stack keeps its files: closed to others, and a socket that fits whatever the folder is called."""

import os
import stat
import tempfile
from pathlib import Path

import pytest

from neuroinspect.errors import SettingsError
from neuroinspect.stack.place import Place


def rights(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_the_folders_are_closed_to_everybody_else(tmp_path):
    place = Place(tmp_path / "state", tmp_path)
    place.make()
    place.folder.chmod(0o755)
    place.make()
    assert (rights(place.folder), rights(place.logs)) == (0o700, 0o700)


def test_a_socket_has_a_path_that_the_kernel_takes_in_a_folder_of_our_own(tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", tempfile.mkdtemp())  # as short as such folders are
    short, long = Place(Path("/srv/state"), tmp_path), Place(tmp_path / ("é" * 60) / "state", tmp_path)
    assert short.socket == Path("/srv/state/stack/supervisor.sock")
    assert len(os.fsencode(long.socket)) <= 100
    assert long.socket != Place(tmp_path / ("é" * 60) / "other", tmp_path).socket
    long.make()
    assert rights(long.socket.parent) == 0o700


def test_a_folder_that_somebody_else_put_there_is_refused(tmp_path):
    (tmp_path / "elsewhere").mkdir()
    place = Place(tmp_path / "state", tmp_path)
    place.state.mkdir()
    place.folder.symlink_to(tmp_path / "elsewhere")
    with pytest.raises(SettingsError, match="not a folder of yours"):
        place.make()
