"""A git repository that DVC keeps data in, made with the real commands."""

import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

DVC = Path(sys.executable).with_name("dvc")
CONFIG = "[core]\n    analytics = false\n    check_update = false\n    autostage = false\n"


def environment(folder: Path) -> Mapping[str, str]:
    """DVC's and git's own state below a temporary folder; commands of this Python first on the path, but for `folder/bin`."""
    return {
        **os.environ,
        "PATH": os.pathsep.join([str(folder / "bin"), str(DVC.parent), os.environ.get("PATH", "")]),
        "DVC_NO_ANALYTICS": "1",
        "DVC_SITE_CACHE_DIR": str(folder / "dvc-site"),
        "GIT_CONFIG_GLOBAL": os.devnull,
        "GIT_CONFIG_NOSYSTEM": "1",
    }


def call(root: Path, *words: object, state: Path) -> "subprocess.CompletedProcess[str]":
    """Run a command in a folder, whatever its exit code."""
    line = [str(word) for word in words]
    return subprocess.run(line, cwd=root, env=environment(state), capture_output=True, text=True)


def dvc(root: Path, *words: object, state: Path) -> str:
    """Run a DVC command that must succeed, and return what it printed."""
    done = call(root, DVC, *words, state=state)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


def make_repository(root: Path, *, state: Path) -> Path:
    """An empty git repository with DVC in it."""
    root.mkdir(parents=True)
    done = call(root, "git", "init", "-q", state=state)
    assert done.returncode == 0, done.stderr
    dvc(root, "init", "-q", state=state)
    (root / ".dvc" / "config").write_text(CONFIG)
    return root
