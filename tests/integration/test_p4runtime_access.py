"""Who can become controller of a lab's switch, on each target: its owner, and nobody else."""

from __future__ import annotations

import os
import shutil
import stat
import subprocess
from pathlib import Path

import pytest

from p4alg.cli import main
from p4alg.lab import runner
from tests.integration.conftest import CONFIG, Lab
from tests.nobody import NOBODY, interpreter_of_nobody

pytestmark = [
    pytest.mark.lab,
    pytest.mark.skipif(
        os.geteuid() != 0 or any(shutil.which(program) is None for program in ("ip", "ethtool")),
        reason="needs root, ip and ethtool on PATH",
    ),
]


def test_the_switch_serves_on_a_socket_of_its_owner(nat_lab: Lab) -> None:
    served = runner.current().switches["switch"].grpc
    assert served.startswith("unix:/run/p4alg/")
    mode = Path(served.removeprefix("unix:")).stat().st_mode
    assert stat.S_ISSOCK(mode)
    assert stat.S_IMODE(mode) == 0o600


def test_another_user_of_the_machine_cannot_become_controller(nat_lab: Lab, tmp_path: Path) -> None:
    python, path = interpreter_of_nobody()
    lab = runner.current()
    config = Path(f"/run/p4alg/test-{os.getpid()}/theirs.yaml")
    shutil.copy(CONFIG, config)
    config.chmod(0o644)
    # With everything of its own, and while the switch has no controller.
    runner.stop(runner.CONTROLLER)
    own = subprocess.run(["mktemp", "-d"], user=NOBODY, stdout=subprocess.PIPE, text=True)
    folder = own.stdout.strip()
    done = subprocess.run(
        [
            *(python, "-m", "p4alg", "run", "-c", str(config)),
            *("--grpc", lab.switches["switch"].grpc, "--device-id", "1"),
        ],
        env={
            "PYTHONPATH": path,
            "P4ALG_SOCKET": f"{folder}/theirs.sock",
            "P4ALG_STATE": f"{folder}/state.json",
        },
        cwd="/",
        user=NOBODY,
        group=NOBODY,
        extra_groups=[],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    shutil.rmtree(folder)
    assert done.returncode == 1
    assert "Permission denied" in done.stderr
    assert len(done.stderr.splitlines()) == 1
    runner.start_controller(CONFIG)
    assert nat_lab.show("algs")


def test_p4runtime_shell_reads_the_switch_by_the_socket(
    nat_lab: Lab, capfd: pytest.CaptureFixture[str]
) -> None:
    read_end, write_end = os.pipe()
    os.write(write_end, b'for e in table_entry["route"].read(): print("seen", e.table_id)\nexit\n')
    os.close(write_end)
    before = os.dup(0)
    try:
        os.dup2(read_end, 0)
        assert main(["shell"]) == 0
    finally:
        os.dup2(before, 0)
        os.close(before)
        os.close(read_end)
    assert "seen" in capfd.readouterr().out
