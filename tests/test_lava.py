"""The files for LAVA: by its own schema, and the test definition's steps as a board runs them."""

import json
import os
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest

from support import BIN, unavailable

FOLDER = Path(__file__).parent.parent / "share/lava"
PYTHON = "/usr/bin/python3"
"""The system's, which has LAVA's package where there is one (lava-common of Debian 12)."""


def by_lava(code: str, *arguments: object) -> str:
    """Run a program that imports LAVA's schema."""
    has_it = subprocess.run([PYTHON, "-c", "import lava_common.schemas"], check=False)
    if has_it.returncode != 0:
        if Path("/etc/debian_version").read_text().startswith("12"):
            unavailable("no lava-common: tools/setup lava")
        pytest.skip("this system has no lava-common: Debian 13 dropped it")
    told = subprocess.run(
        [PYTHON, "-c", code, *map(str, arguments)], capture_output=True, text=True, check=False
    )
    assert told.returncode == 0, told.stderr
    return told.stdout


def test_the_test_definition_is_one_by_lava_s_schema() -> None:
    by_lava(
        "import sys, yaml; from lava_common.schemas.test.testdef import validate;"
        "validate(yaml.safe_load(open(sys.argv[1])))",
        FOLDER / "v4l-dmabuf.yaml",
    )


@pytest.mark.parametrize("name", ["single-node.yaml", "multinode.yaml"])
def test_the_jobs_are_some_by_lava_s_schema(name: str) -> None:
    by_lava(
        "import sys, yaml; from lava_common.schemas import validate;"
        "validate(yaml.safe_load(open(sys.argv[1])))",
        FOLDER / name,
    )


def test_a_job_that_is_none_fails_by_lava_s_schema(tmp_path: Path) -> None:
    """That the schema looks at what it is given."""
    wrong = tmp_path / "wrong.yaml"
    wrong.write_text(
        (FOLDER / "single-node.yaml").read_text().replace("minutes: 30", "fortnight: 1")
    )
    with pytest.raises(AssertionError, match="fortnight"):
        by_lava(
            "import sys, yaml; from lava_common.schemas import validate;"
            "validate(yaml.safe_load(open(sys.argv[1])))",
            wrong,
        )


def test_what_a_board_runs_tells_lava_each_figure(tmp_path: Path) -> None:
    definition: Any = json.loads(
        by_lava(
            "import sys, yaml, json; print(json.dumps(yaml.safe_load(open(sys.argv[1]))))",
            FOLDER / "v4l-dmabuf.yaml",
        )
    )
    steps = [step for step in definition["run"]["steps"] if "venv" not in step]
    own = {"DEVICE": "test", "FRAMES": "60", "LIMITS": "--min-fps 10 --max-drops 0"}
    parameters = definition["parameters"] | own
    # As LAVA does: parameters as variables, and the steps as a script. A built-in source has no
    # device to probe.
    script = [f"{name}='{value}'" for name, value in parameters.items()]
    script += ["lava-test-case() { :; }", *steps]
    told = subprocess.run(
        ["bash", "-c", "\n".join(script)],
        cwd=tmp_path,
        env=os.environ | {"PATH": f"{BIN}:{os.environ['PATH']}"},
        capture_output=True,
        text=True,
        check=False,
        timeout=100,
    )
    signals = re.findall(
        r"^<LAVA_SIGNAL_TESTCASE TEST_CASE_ID=(\S+) RESULT=(\w+)", told.stdout, re.MULTILINE
    )
    assert signals == [("run", "pass"), ("frame-rate", "pass"), ("frames-dropped", "pass")], (
        told.stdout + told.stderr
    )
