"""v4l-dmabuf-lab: streams between labgrid's targets, watched, checked and compared."""

import json
import os
import re
import shutil
import signal
import subprocess
import time
import zipfile
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import jsonschema
import junitparser
import pytest

import v4l_dmabuf
from rack import Rack, boards
from support import BIN, PATIENCE

__all__ = ["boards"]

SHORT = ("-d", "test", "-W", "320", "-H", "240", "--fps", "60", "-n", "60", "-e", "memfd")
LONG = ("-d", "test", "-W", "320", "-H", "240", "--fps", "60", "--duration", "60", "-e", "memfd")
SCHEMA = Path(__file__).parent.parent / "docs" / "result.schema.json"


class Lab:
    """The command, that runs where the boards are reached."""

    def __init__(self, boards: Rack, *arguments: object, sender: tuple[str, ...] = SHORT) -> None:
        command = (BIN / "v4l-dmabuf-lab", boards.environment, *arguments, "--", *sender)
        self._process = subprocess.Popen(
            boards.inside("hub", *command),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )

    def interrupt(self) -> None:
        """Press Ctrl-C: everything in the terminal's foreground gets it."""
        os.killpg(self._process.pid, signal.SIGINT)

    def kill(self) -> None:
        self._process.kill()

    def wait(self) -> tuple[int, str, str]:
        stdout, stderr = self._process.communicate(timeout=2 * PATIENCE)
        return self._process.returncode, stdout, stderr


def until(what: Callable[[], bool], expected: str) -> None:
    deadline = time.monotonic() + PATIENCE
    while not what():
        assert time.monotonic() < deadline, expected
        time.sleep(0.05)


def check_nothing_is_left(boards: Rack) -> None:
    for board in ("a", "b"):
        until(partial(boards.is_idle, board), f"something runs on {board}")


def folders() -> set[Path]:
    return set(Path("/tmp").glob("v4l-dmabuf-lab.*"))  # noqa: S108 -- where targets have them


def results(folder: Path) -> dict[str, Any]:
    return {path.stem: json.loads(path.read_text()) for path in folder.glob("*.json")}


def packed(folder: Path) -> Path:
    """Give a wheel of this package, as far as a target needs it."""
    package = Path(v4l_dmabuf.__file__).parent
    wheel = folder / f"v4l_dmabuf-0-cp311-abi3-manylinux_2_17_{os.uname().machine}.whl"
    with zipfile.ZipFile(wheel, "w") as archive:
        for path in package.rglob("*"):
            archive.write(path, path.relative_to(package.parent))
    return wheel


def test_two_targets_in_turn_are_checked_and_compared(boards: Rack, tmp_path: Path) -> None:
    before = folders()
    output, junit = tmp_path / "lab", tmp_path / "junit.xml"
    options = ("--bin", BIN, "-n", 3, "--warm-up", 1, "-o", output, "--max-lost", 0)
    label = ("--b-options", "--label 'vmm=crosvm 130'")
    lab = Lab(boards, "--a", "A", "--b", "B", *options, *label, "--junit", junit)
    status, stdout, stderr = lab.wait()
    assert status in {0, 3}, stderr
    turns = [line.split(": ")[1] for line in stderr.splitlines() if "60 frames" in line]
    assert turns == [
        *("B warm-up", "A warm-up"),
        *("A 1/3", "B 1/3", "B 2/3", "A 2/3", "A 3/3", "B 3/3"),
    ]
    found = results(output)
    names = {f"{side}-{number}" for side in "AB" for number in (1, 2, 3)}
    assert set(found) == names | {f"receiver-{name}" for name in names}
    schema = json.loads(SCHEMA.read_text())
    for name, result in found.items():
        jsonschema.validate(result, schema)
        assert result["outcome"] == "complete", name
        expected = {"vmm": "crosvm 130"} if name.startswith("B") else {}
        assert result["labels"] == expected, name
        assert result["role"] == ("receiver" if "receiver" in name else "sender")
    assert stdout.count("frames lost in transit") == 6
    assert "index.html has all of it" in stdout
    assert "<svg" in (output / "index.html").read_text()
    suites = list(junitparser.JUnitXml.fromfile(str(junit)))
    assert [suite.name for suite in suites][-1] == "B against A"
    check_nothing_is_left(boards)
    assert folders() == before, "the targets' folders are gone"


def test_a_third_machine_receives(boards: Rack, tmp_path: Path) -> None:
    options = ("--bin", BIN, "-n", 1, "-o", tmp_path, "--receiver-options", "-e memfd")
    status, stdout, stderr = Lab(boards, "--a", "A", "--receiver", "B", *options).wait()
    assert status == 0, stderr
    assert "pass  run" in stdout
    found = results(tmp_path)
    assert found["receiver-A-1"]["summary"]["frames"] == 60
    assert not (tmp_path / "index.html").exists(), "there is nothing to compare"


def test_targets_need_only_the_wheel(boards: Rack, tmp_path: Path) -> None:
    wheel = packed(tmp_path)
    other = tmp_path / "v4l_dmabuf-0-cp311-abi3-manylinux_2_17_riscv64.whl"
    other.touch()
    options = ("-n", 1, "-o", tmp_path / "lab")
    wheels = ("--wheel", other, wheel)
    status, _, stderr = Lab(boards, "--a", "A", *options, *wheels).wait()
    assert status == 0, stderr
    status, _, stderr = Lab(boards, "--a", "A", *options, "--wheel", other).wait()
    assert status == 2
    assert f"A is {os.uname().machine}, and no wheel is for it" in stderr


def test_a_limit_that_is_not_kept_fails(boards: Rack, tmp_path: Path) -> None:
    options = ("--bin", BIN, "-n", 2, "-o", tmp_path, "--min-fps", 1000, "--json", "-")
    status, stdout, _ = Lab(boards, "--a", "A", *options).wait()
    assert status == 1
    told = json.loads(stdout)
    assert told["verdict"] == "fail"
    assert [it["result"] for it in told["results"]] == ["A-1", "A-2"]
    assert [it["checks"][1]["verdict"] for it in told["results"]] == ["fail", "fail"]


def test_an_interrupt_leaves_nothing_behind(boards: Rack, tmp_path: Path) -> None:
    before = folders()
    options = ("--bin", BIN, "-n", 2, "-o", tmp_path)
    lab = Lab(boards, "--a", "A", "--receiver", "B", *options, sender=LONG)
    until(lambda: bool(boards.processes("a") and boards.processes("b")), "a stream begins")
    time.sleep(1)
    lab.interrupt()
    status, _, stderr = lab.wait()
    assert status == 130, stderr
    check_nothing_is_left(boards)
    assert folders() == before


def test_a_lab_that_is_killed_leaves_nothing_behind(boards: Rack, tmp_path: Path) -> None:
    lab = Lab(boards, "--a", "A", "--b", "B", "--bin", BIN, "-o", tmp_path, sender=LONG)
    until(lambda: len(boards.processes("a")) > 1, "a stream begins")
    lab.kill()
    lab.wait()
    check_nothing_is_left(boards)


def test_a_target_that_dies_is_a_failed_run_and_the_rest_goes_on(
    boards: Rack, tmp_path: Path
) -> None:
    options = ("--wheel", packed(tmp_path), "-n", 2, "-o", tmp_path / "lab", "--json", "-")
    sender = (*SHORT[:-4], "-n", "180", "-e", "memfd")
    lab = Lab(boards, "--a", "A", "--b", "B", *options, sender=sender)
    until(lambda: len(boards.processes("a")) > 1, "a stream begins")
    time.sleep(1)
    pattern = r"/tmp/v4l-dmabuf-lab\.\w+"  # noqa: S108 -- where targets have it
    (own,) = {*re.findall(pattern, " ".join(boards.processes("a")))}
    boards.kill("a")
    # It comes back as after a boot: its /tmp is empty.
    shutil.rmtree(own)
    boards.serve("a")
    status, stdout, stderr = lab.wait()
    assert status == 1
    assert "A 1/2: sender on A: the connection was lost in mid-run" in stderr
    told = {it["result"]: it["checks"][0] for it in json.loads(stdout)["results"]}
    assert {name: check["verdict"] for name, check in told.items()} == {
        "A-1": "fail",
        "A-2": "pass",
        "B-1": "pass",
        "B-2": "pass",
    }
    assert "the connection was lost" in told["A-1"]["why"]
    check_nothing_is_left(boards)


def test_a_run_that_takes_too_long_has_failed(boards: Rack, tmp_path: Path) -> None:
    options = ("--bin", BIN, "-n", 1, "-o", tmp_path, "--patience", 2)
    status, _, stderr = Lab(boards, "--a", "A", *options, sender=LONG).wait()
    assert status == 1
    assert "it was not done within 2 s" in stderr
    check_nothing_is_left(boards)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--a", "C"], "has no target 'C'; its targets: A, B, gone"),
        (["--a", "gone"], "(ssh: connect to host 10.79.0.9 port 22: "),
        (["--a", "A", "--bin", "/nowhere"], "--wheel brings the package"),
        (["--a", "A", "--b", "A"], "A and B are the same target"),
        (["--a", "A", "-n", "0"], "at least 1"),
        (["--a", "A", "--a-options", "'"], "No closing quotation"),
        (["--a", "A", "--limits", "/nowhere"], "/nowhere"),
        (["--a", "A", "--wheel", "/nowhere.whl"], "there is no /nowhere.whl"),
    ],
)
def test_what_can_t_be_had_is_one_clear_line(
    boards: Rack, tmp_path: Path, arguments: list[str], said: str
) -> None:
    status, _, stderr = Lab(boards, *arguments, "-o", tmp_path).wait()
    assert status == 2
    assert said in stderr
    assert "Traceback" not in stderr
    check_nothing_is_left(boards)


def test_a_folder_that_can_t_be_made_is_one_clear_line(boards: Rack) -> None:
    status, _, stderr = Lab(boards, "--a", "A", "-o", "/dev/null/lab").wait()
    assert (status, stderr.count("\n")) == (2, 1), stderr
    assert "cannot make the folder /dev/null/lab" in stderr


def test_an_environment_that_is_none_is_one_clear_line(boards: Rack, tmp_path: Path) -> None:
    (tmp_path / "bad.yaml").write_text("targets: [")
    lab = ("v4l-dmabuf-lab", tmp_path / "bad.yaml", "--a", "A", "-o", tmp_path)
    done = subprocess.run(
        boards.inside("hub", BIN / lab[0], *lab[1:]), capture_output=True, text=True, check=False
    )
    assert done.returncode == 2
    assert "bad.yaml: Error in configuration file" in done.stderr.splitlines()[-1]


def test_a_sender_that_fails_says_why(boards: Rack, tmp_path: Path) -> None:
    options = ("--bin", BIN, "-n", 1, "-o", tmp_path)
    status, stdout, _ = Lab(boards, "--a", "A", *options, sender=("-d", "/dev/null")).wait()
    assert status == 1
    assert "sender on A: " in stdout
    assert "/dev/null" in stdout
    assert "receiver on A" not in stdout, "what ended with it is no cause"
