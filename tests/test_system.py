"""`make system` installs what the tests need of the system, or says how."""

import os
import subprocess
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parent / "system.sh"


@pytest.fixture
def machine(tmp_path):
    """A machine without a browser: the commands it has are those written into its one folder."""
    commands = tmp_path / "bin"
    commands.mkdir()

    def run(*, user: int, apt: int | None) -> subprocess.CompletedProcess[str]:
        def command(name: str, body: str) -> None:
            (commands / name).write_text(f"#!/bin/sh\n{body}\n")
            (commands / name).chmod(0o755)

        command("id", f"echo {user}")
        command("ls", "exit 2")
        if apt is not None:
            command("apt-get", f'echo "apt-get $*"; exit {apt}')
        return subprocess.run(
            ["/bin/sh", str(SCRIPT)],
            env={"PATH": str(commands), "HOME": os.devnull},
            capture_output=True,
            text=True,
            check=True,
        )

    return run


LINE = "apt-get install -y --no-install-recommends chromium fonts-dejavu-core postgresql"


def test_root_installs_what_is_missing(machine):
    said = machine(user=0, apt=0).stdout
    assert "apt-get install -y -qq --no-install-recommends chromium fonts-dejavu-core postgresql" in said
    assert "sudo" not in said


@pytest.mark.parametrize(("user", "apt"), [(1000, 0), (0, None), (0, 100)])
def test_where_nothing_can_be_installed_the_line_is_shown_and_all_goes_on(machine, user, apt):
    said = machine(user=user, apt=apt).stdout
    assert f"sudo apt-get update && sudo {LINE}" in said
    assert "some tests will be skipped" in said


def test_the_target_and_ci_call_it():
    root = SCRIPT.parents[1]
    dry = subprocess.run(
        ["make", "--dry-run", "--no-print-directory", "system"], cwd=root, capture_output=True, text=True, check=True
    )
    assert dry.stdout.strip() == "tests/system.sh"
    assert "make system\n" in (root / ".ci" / "run").read_text()
