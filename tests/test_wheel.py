"""The package as users get it."""

import subprocess
import sys
import venv
from pathlib import Path

import pytest

from guests.guest import CHECKOUT


@pytest.mark.timeout(600)
def test_the_wheel_installs_into_a_clean_environment(tmp_path: Path) -> None:
    python = Path(sys.executable)
    subprocess.run(
        [
            *(python, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation"),
            *("--wheel-dir", tmp_path, CHECKOUT),
        ],
        check=True,
    )
    (wheel,) = tmp_path.glob("*.whl")
    assert "cp311-abi3" in wheel.name
    clean = tmp_path / "clean"
    venv.create(clean, with_pip=True)
    subprocess.run([clean / "bin/pip", "install", "--quiet", "--no-index", wheel], check=True)
    for name in ("sender", "receiver", "probe", "compare", "check"):
        told = subprocess.run(
            [clean / f"bin/v4l-dmabuf-{name}", "--version"],
            capture_output=True,
            text=True,
            check=True,
        )
        assert told.stdout.strip() in wheel.name
    told = subprocess.run(
        [clean / "bin/v4l-dmabuf-compare", "a.json", "b.json"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert told.returncode == 2
    assert "numpy and matplotlib not installed: pip install 'v4l-dmabuf[compare]'" in told.stderr
    assert list(clean.glob("lib/*/site-packages/v4l_dmabuf/py.typed"))
