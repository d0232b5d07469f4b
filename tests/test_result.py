"""--report: one JSON document, in the form that its schema says, whatever became of the run."""

import csv
import json
import subprocess
import time
from pathlib import Path
from threading import Thread
from typing import Any

import jsonschema
import pytest

from reference import stream_header
from support import (
    LOCALHOST,
    Command,
    connect_when_it_listens,
    free_port,
    receiver,
    receiver_command,
    sender_command,
    transfer,
)
from tools import schema
from v4l_dmabuf import Sender
from v4l_dmabuf.environment import hypervisor
from v4l_dmabuf.errors import OutputError

SCHEMA = json.loads(
    (Path(__file__).parent.parent / "docs/result.schema.json").read_text(encoding="utf-8")
)


def read(path: Path) -> Any:
    document = json.loads(path.read_text())
    jsonschema.validate(document, SCHEMA, cls=jsonschema.Draft202012Validator)
    return document


def sender(port: int, **fields: Any) -> Sender:
    return Sender(device="test", heap="memfd", address=LOCALHOST, port=port, **fields)


def test_the_schema_s_summary_is_the_report() -> None:
    assert schema.generated() == SCHEMA, "make schema writes it anew"


def test_both_commands_write_what_was_asked_for_and_what_came_of_it(
    port: int, tmp_path: Path
) -> None:
    paths = tmp_path / "sender.json", tmp_path / "receiver.json"
    with (
        receiver_command(port, "--report", paths[1]) as received,
        sender_command(
            port, "-n", 5, "--report", paths[0], "--label", "vmm=crosvm 130", "--label", "a="
        ) as sent,
    ):
        assert (sent.wait(), received.wait()) == (0, 0), sent.stderr
    sent_result, received_result = map(read, paths)
    assert [sent_result["role"], received_result["role"]] == ["sender", "receiver"]
    assert sent_result["labels"] == {"vmm": "crosvm 130", "a": ""}
    assert sent_result["frames_wanted"] == 5
    assert received_result["frames_wanted"] is None
    for result in (sent_result, received_result):
        assert result["outcome"] == "complete"
        assert result["summary"]["frames"] == 5
        assert result["summary"]["drops"] == 0
        assert result["environment"]["cpu"]["count"] >= 1
        assert result["environment"]["kernel"]["hz"] in {100, 250, 300, 1000}
    assert set(sent_result["summary"]["stages"]) >= {"interval", "before_socket", "into_socket"}
    assert set(received_result["summary"]["stages"]) == {
        *("interval", "jitter", "into_buffer", "transfer")
    }
    for result in (sent_result, received_result):
        network = result["network"]
        assert (network["local"], network["interface"]) == (LOCALHOST, "lo")
        assert network["mtu"] == int(Path("/sys/class/net/lo/mtu").read_text())
        assert network["offloads"]["gso"] is True
        assert network["tcp"]["rtt"] > 0
        assert result["summary"]["read_bytes_per_second"] > 1e6
    assert received_result["stream"]["width"] == 640
    assert sent_result["stream"] == received_result["stream"]
    for result in (sent_result, received_result):
        assert sum(result["series"]["frames"]) == 5
        assert result["samples"]["counter"] == [0, 1, 2, 3, 4]
        histogram = result["histograms"]["transfer"]
        assert sum(count for _, count in histogram) == 5
    assert sent_result["summary"]["clock"] == "monotonic"
    assert received_result["summary"]["clock"] is None
    assert sent_result["settings"]["device"] == "test"
    assert received_result["settings"]["listen"] == LOCALHOST


def test_stages_are_of_every_frame_and_their_sum_fits_the_run(port: int, tmp_path: Path) -> None:
    dump = tmp_path / "dump"
    sent, received = transfer(sender(port, fps=200.0), 30, port, dump)
    for stage in ("capture_age", "before_socket", "into_socket"):
        assert sent.stages[stage].count == 30, stage
    assert sent.stages["interval"].count == received.stages["interval"].count == 29
    assert received.stages["into_buffer"].count == received.stages["into_dump"].count == 30
    assert set(received.stages["into_buffer"].percentiles) == {"p50"}
    intervals = sent.stages["interval"]
    assert intervals.mean * intervals.count == pytest.approx(sent.seconds, rel=0.2)
    for times in [*sent.stages.values(), *received.stages.values()]:
        assert 0 <= times.least <= times.mean <= times.most


def records(path: Path) -> list[dict[str, int]]:
    with path.open() as file:
        return [
            {name: int(value) for name, value in line.items() if value}
            for line in csv.DictReader(file)
        ]


def test_records_follow_every_frame_from_side_to_side(port: int, tmp_path: Path) -> None:
    paths = tmp_path / "sender.csv", tmp_path / "receiver.csv"
    with receiver_command(port, "--records", paths[1]) as received:
        end = sender(port, fps=100.0, records=paths[0], zero_copy="on")
        end.run(frames=40)
        assert received.wait() == 0, received.stderr
    for path, complete in zip(paths, (True, False), strict=True):
        lines = records(path)
        assert [line["counter"] for line in lines] == list(range(40))
        assert [line["sequence"] for line in lines] == list(range(40))
        assert {line["bytes"] for line in lines} == {614400}
        way = ["dequeued", "handed", "header", "complete", "done"]
        for line in lines:
            # One machine has one clock.
            times = [line[name] for name in way]
            assert times == sorted(times), line
            if complete:
                assert line["handed"] <= min(line["sent"], line["acknowledged"])
                assert line["complete"] <= line["acknowledged"]
        assert "captured" not in lines[0], "the timestamps' clock is not settled yet"
        assert lines[-1]["captured"] <= lines[-1]["dequeued"]
    # What is in flight at the end is not waited for.
    assert sum("completed" in line for line in records(paths[0])) > 20


def test_records_of_version_2_are_those_of_one_side(port: int, tmp_path: Path) -> None:
    path = tmp_path / "sender.csv"
    with receiver_command(port) as received:
        sender(port, protocol=2, records=path).run(frames=3)
        assert received.wait() == 0, received.stderr
    (line, *_) = lines = records(path)
    assert len(lines) == 3
    assert "sent" in line
    assert "complete" not in line


def test_records_that_cannot_be_written_are_known_before_the_run(port: int) -> None:
    for command in (
        sender_command(port, "--records", "/nowhere/x"),
        Command("receiver", "-e", "memfd", "-p", port, "--records", "/nowhere/x"),
    ):
        with command:
            assert "cannot open the records /nowhere/x" in command.error()


def test_a_disk_that_fills_up_with_records_is_an_error(port: int) -> None:
    with receiver_command(port) as received:
        with pytest.raises(OutputError, match="write the records /dev/full"):
            sender(port, records="/dev/full").run(frames=500)
        assert "the sender failed" in received.error(status=3)


def test_a_sender_that_is_kept_waiting_shows_what_it_missed(port: int) -> None:
    """A reader of the dump that pauses longer than the sockets' buffers last."""
    with receiver_command(port, "-o", "-", stdout=subprocess.PIPE) as command:
        reader = command.process.stdout
        assert reader is not None
        end = sender(port, fps=50.0, buffers=2)
        reports = []
        thread = Thread(target=lambda: reports.append(end.run(frames=60)))
        thread.start()
        for number in range(60):
            if number == 20:
                time.sleep(1.5)
            left = 614400
            while left:
                left -= len(reader.read(left))
        thread.join(10)
    (report,) = reports
    raw, corrected = report.stages["end_to_end"], report.stages["end_to_end_corrected"]
    assert corrected.count > raw.count + 20, "they could not all have been taken meanwhile"
    assert corrected.most >= raw.most


def test_completions_are_timed(port: int) -> None:
    sent, _ = transfer(sender(port, zero_copy="on"), 30, port)
    assert 20 < sent.stages["until_completion"].count <= 30, "the last may be in flight at the end"
    sent, _ = transfer(sender(port, zero_copy="off"), 3, port)
    assert "until_completion" not in sent.stages


def test_a_run_that_fails_says_so_and_what_was_done_until_then(port: int, tmp_path: Path) -> None:
    path = tmp_path / "receiver.json"
    with receiver_command(port, "--report", path) as command:
        with connect_when_it_listens(port) as connection:
            connection.send(stream_header(version=9))
        told = command.error()
    result = read(path)
    assert result["outcome"] == "failed"
    assert result["error"] in told
    assert result["summary"]["frames"] == 0


def test_a_stopped_run_and_a_short_one_are_told_apart(port: int, tmp_path: Path) -> None:
    path = tmp_path / "stopped.json"
    end = sender(port, report=path)
    end.stop()
    with receiver(port) as other:
        other.stop()
        end.run(frames=3)
    assert read(path)["outcome"] == "stopped"

    port = free_port()
    path = tmp_path / "short.json"
    with receiver_command(port, "-n", 9, "--report", path) as command:
        transfer_to = sender(port)
        transfer_to.run(frames=2)
        assert command.wait() == 1
    assert read(path)["outcome"] == "short"


def test_a_run_that_its_caller_ends_is_written_down_too(port: int, tmp_path: Path) -> None:
    def progress(_report: object) -> None:
        raise KeyError("enough")

    path = tmp_path / "report.json"
    with (
        receiver_command(port),
        pytest.raises(KeyError, match="enough"),
    ):
        sender(port, fps=20.0, report=path).run(progress=progress)
    result = read(path)
    assert result["outcome"] == "failed"
    assert "enough" in result["error"]


def test_a_report_that_cannot_be_written_is_known_before_the_run(port: int) -> None:
    with pytest.raises(OutputError, match="cannot write the report /nowhere/x"):
        sender(port, report="/nowhere/x").run(frames=1)
    with sender_command(port, "--report", "/nowhere/x") as command:
        assert "/nowhere/x" in command.error()


def test_a_full_disk_keeps_the_run_s_report(port: int) -> None:
    with pytest.raises(OutputError, match="No space left") as caught:
        transfer(sender(port, report="/dev/full"), 1, port)
    assert caught.value.report is not None
    assert caught.value.report.frames == 1


@pytest.mark.parametrize("label", ["vmm", "=x"])
def test_labels_have_a_key_and_a_value(port: int, label: str) -> None:
    with sender_command(port, "--label", label) as command:
        assert command.process.wait(30) == 2


SYSFS = "sys/hypervisor/type"
VENDOR = "sys/class/dmi/id/sys_vendor"
PRODUCT = "sys/class/dmi/id/product_name"
CPUINFO = "proc/cpuinfo"


@pytest.mark.parametrize(
    ("files", "name"),
    [
        ({SYSFS: "xen\n", VENDOR: "QEMU\n"}, "xen"),
        ({VENDOR: "QEMU\n", PRODUCT: "Standard PC (Q35 + ICH9, 2009)\n"}, "qemu"),
        ({VENDOR: "VMware, Inc.\n"}, "vmware"),
        ({VENDOR: "Microsoft Corporation\n", PRODUCT: "Virtual Machine\n"}, "hyper-v"),
        ({VENDOR: "Microsoft Corporation\n", PRODUCT: "Surface Pro\n"}, "none"),
        ({CPUINFO: "flags\t\t: fpu hypervisor lahf_lm\n"}, "unknown"),
        ({VENDOR: "LENOVO\n", CPUINFO: "flags\t\t: fpu\n"}, "none"),
        ({}, "none"),
    ],
)
def test_the_hypervisor_is_told_from_what_the_guest_sees(
    tmp_path: Path, files: dict[str, str], name: str
) -> None:
    for file, text in files.items():
        path = tmp_path / file
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    assert hypervisor(tmp_path)["name"] == name
