"""What the README shows works as it stands there."""

import dataclasses
import re
import shlex
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from support import BIN, LOCALHOST, connect, free_port, receiver_command, sender_command
from v4l_dmabuf import ReceiverConfig, SenderConfig
from v4l_dmabuf import __doc__ as package
from v4l_dmabuf.commands.options import Options

README = Path(__file__).parent.parent / "README.md"
BLOCKS = re.findall(r"^```(\w*)\n(.*?)^```$", README.read_text(), flags=re.MULTILINE | re.DOTALL)
EXAMPLES = [text for language, text in BLOCKS if language == "python"]
COMMANDS = sorted(
    {
        part.strip()
        for language, text in BLOCKS
        if not language
        for line in text.splitlines()
        for part in line.split("|")
        if part.strip().startswith("v4l-dmabuf-")
    }
)
BOTH_ENDS = [example for example in EXAMPLES if "Thread(" in example]
FRAMES = [example for example in EXAMPLES if "for frame in" in example]
IN_TURN = [example for example in EXAMPLES if example not in [*BOTH_ENDS, *FRAMES]]


def here(example: str, port: int, folder: Path) -> str:
    """Give an example with this machine's address, a free port, and a source that it has."""
    for told, real in (
        ('address="10.0.0.2"', f'address="{LOCALHOST}", device="test"'),
        ("port=9000", f"port={port}"),
        ('output="', f'output="{folder}/'),
    ):
        example = example.replace(told, real)
    return example


def start(example: str) -> "subprocess.Popen[str]":
    return subprocess.Popen(
        [sys.executable, "-X", "dev", "-W", "error", "-c", example],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def check(process: "subprocess.Popen[str]") -> str:
    output, errors = process.communicate(timeout=60)
    assert process.returncode == 0, errors
    assert errors == ""
    return output


def test_there_are_examples_and_commands() -> None:
    assert len(BOTH_ENDS) >= 1
    assert len(IN_TURN) >= 1
    assert len(FRAMES) >= 1
    assert len(COMMANDS) >= 4


@pytest.mark.parametrize("example", BOTH_ENDS)
def test_an_example_with_both_ends_runs(port: int, tmp_path: Path, example: str) -> None:
    assert "frames=300" in check(start(here(example, port, tmp_path)))


@pytest.mark.parametrize("example", FRAMES)
def test_an_example_that_takes_frames_runs(port: int, tmp_path: Path, example: str) -> None:
    example = here(example, port, tmp_path).replace("Receiver(", 'Receiver(heap="memfd", ')
    with start(example) as process:
        wait_until_it_listens(port, process)
        with sender_command(port, "-n", 5, "--width", 64, "--height", 48) as sender:
            assert sender.wait() == 0, sender.stderr
        output = process.communicate(timeout=60)[0]
    assert process.returncode == 0
    assert [line.split()[0] for line in output.splitlines()] == ["0", "1", "2", "3", "4"]


def package_example() -> str:
    """Give the example of the package's own documentation."""
    lines = str(package).splitlines()
    return "\n".join(line[4:] for line in lines if line.startswith("    ")) + "\n"


def wait_until_it_listens(port: int, process: "subprocess.Popen[str]") -> None:
    """Connect for a moment: whoever offers no stream is turned away, and no more."""
    deadline = time.monotonic() + 30
    while True:
        try:
            connect(port).close()
        except ConnectionRefusedError:
            if process.poll() is not None or time.monotonic() > deadline:
                process.kill()
                pytest.fail(f"it does not listen: {process.communicate()}")
            time.sleep(0.01)
        else:
            return


@pytest.mark.parametrize("example", [*IN_TURN, package_example()])
def test_an_example_with_one_end_after_the_other_runs(
    port: int, tmp_path: Path, example: str
) -> None:
    # The other end's receiver listens until its report is written, maybe beside the example's own.
    own = free_port()
    example = re.sub(r"(Receiver(?:Config)?\(port=)9000", rf"\g<1>{own}", example)
    example = here(example, port, tmp_path)
    with receiver_command(port) as receiver, start(example) as process:
        assert receiver.wait() == 0, receiver.stderr
        wait_until_it_listens(own, process)
        with sender_command(own, "-n", 5, "--width", 64, "--height", 48) as sender:
            assert sender.wait() == 0, sender.stderr
        check(process)
    assert (tmp_path / "capture.raw").stat().st_size == 5 * 64 * 48 * 2


@pytest.mark.parametrize("command", COMMANDS)
def test_a_command_s_options_exist(command: str) -> None:
    program, *words = shlex.split(command)
    if "--" in words:
        at = words.index("--")
        test_a_command_s_options_exist(shlex.join(["v4l-dmabuf-sender", *words[at + 1 :]]))
        words = words[:at]
    told = subprocess.run(
        [BIN / program, "--help"], capture_output=True, text=True, check=True, timeout=60
    ).stdout
    known = set(re.findall(r"(?<!\w)--?[\w-]+", told))
    used = {word for word in words if re.fullmatch(r"--?[a-zA-Z][\w-]*", word)}
    assert used <= known, used - known


def table_of(command: str) -> dict[str, str]:
    """Give the options of a command's table, each with its default."""
    _, section = README.read_text().split(f"### {command}\n", 1)
    rows = re.findall(r"^\| (`-.*?) \|.*\|(.*?)\|$", section.split("\n#", 1)[0], re.MULTILINE)
    return {
        flag: default.strip(" |`")
        for flags, default in rows
        for flag in re.findall(r"`(-.*?)`", flags)
    }


@pytest.mark.parametrize(
    ("command", "settings"),
    [("v4l-dmabuf-sender", SenderConfig), ("v4l-dmabuf-receiver", ReceiverConfig)],
)
def test_the_table_of_a_command_has_its_options(command: str, settings: Any) -> None:
    options = Options(command, "", settings).parser
    known = set(options._option_string_actions)
    # What every command has anyway, and long names of short ones.
    known -= {"-h", "--help", "--version", "--verbose", "--quiet"}
    table = table_of(command)
    assert set(table) == known
    told = {it.name: it.default for it in dataclasses.fields(settings)}
    for name in (
        *("zero_copy", "on_overrun", "memory", "protocol", "format", "device"),
        *("device_memory", "device_on_overrun", "unixfd"),
    ):
        if told.get(name) is not None and "--" + name.replace("_", "-") in known:
            assert table["--" + name.replace("_", "-")] == str(told[name])


def test_the_reference_tells_what_classes_have_of_their_bases(tmp_path: Path) -> None:
    template = README.with_name("tools") / "reference"
    command = [sys.executable, "-m", "pdoc", "--template-directory", str(template)]
    command += ["--output-directory", str(tmp_path), "v4l_dmabuf"]
    made = subprocess.run(command, check=False, capture_output=True, text=True)
    assert made.returncode == 0, made.stderr
    page = (tmp_path / "v4l_dmabuf.html").read_text("utf-8")
    for member in ("Sender.stop", "Receiver.run", "SenderConfig.heap", "ReceiverConfig.report"):
        assert f'id="{member}"' in page, f"{member} is not in the reference"
