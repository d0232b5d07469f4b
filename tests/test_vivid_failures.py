"""A real V4L2 device that fails, is refused, or is not what was asked for: vivid again."""

import logging
import os
import re
import subprocess
import threading
import time

import pytest

from support import LOCALHOST, Vivid, receiver_command, transfer
from v4l_dmabuf import Report, Sender, errors

pytestmark = pytest.mark.vivid

SYSTEM_HEAP = "/dev/dma_heap/system"
UDMABUF = "/dev/udmabuf"


def while_streaming(vivid: Vivid, port: int, control: str) -> tuple[Report, Report]:
    """Set a control once frames flow."""
    timer = threading.Timer(1.0, vivid.set, kwargs={control: 1})
    timer.start()
    try:
        return transfer(vivid.sender(port), 60, port)
    finally:
        timer.join()


def test_error_flags_arrive(vivid: Vivid, port: int) -> None:
    sent, received = while_streaming(vivid, port, "inject_v4l2_buf_flag_error")
    assert sent.error_frames == received.error_frames == 1


def test_a_device_that_is_unplugged(vivid: Vivid, port: int) -> None:
    with pytest.raises(errors.DeviceGoneError, match="unplugged") as gone:
        while_streaming(vivid, port, "disconnect")
    assert gone.value.report is not None
    assert gone.value.report.frames > 0


def test_the_receiver_learns_why_the_sender_failed(vivid: Vivid, port: int) -> None:
    sender = vivid.sender(port)
    with receiver_command(port) as end:
        timer = threading.Timer(1.0, vivid.set, kwargs={"disconnect": 1})
        timer.start()
        with pytest.raises(errors.DeviceGoneError):
            sender.run(frames=60)
        timer.join()
        assert re.search(r"the sender failed after \d+ frames: .*unplugged", end.error(status=3))


def test_a_fatal_streaming_error(vivid: Vivid, port: int) -> None:
    with pytest.raises(errors.DeviceError, match="fatal error") as failed:
        while_streaming(vivid, port, "inject_fatal_streaming_error")
    assert failed.value.report is not None
    assert failed.value.report.frames > 0
    assert transfer(vivid.sender(port), 3, port)[0].frames == 3, "the device was left unusable"


def test_a_streamon_that_fails(vivid: Vivid, port: int) -> None:
    vivid.set(inject_vidioc_streamon_error=1)
    with pytest.raises(errors.DeviceError, match="VIDIOC_STREAMON"):
        transfer(vivid.sender(port), 3, port)


def test_what_is_no_free_capture_device(vivid: Vivid, port: int) -> None:
    with pytest.raises(errors.NotACaptureDeviceError, match=r"does not capture.*/dev/video"):
        vivid.sender(port, device=vivid.output).run()
    command = ["v4l2-ctl", "-d", vivid.capture, "--stream-mmap", "--stream-count=1000"]
    with subprocess.Popen(command, stderr=subprocess.DEVNULL) as other:
        time.sleep(2)
        with pytest.raises(errors.DeviceBusyError, match="fuser -v"):
            vivid.sender(port).run()
        other.kill()


def test_what_the_driver_grants_instead_is_said(
    vivid: Vivid, port: int, caplog: pytest.LogCaptureFixture
) -> None:
    with pytest.raises(errors.FormatError, match=r"gives \w{4} instead.*YUYV"):
        vivid.sender(port, format="H264").run()
    with caplog.at_level(logging.WARNING):
        sent, received = transfer(vivid.sender(port, width=643, height=359, fps=17.0), 3, port)
    assert (sent.width, sent.height) == (received.width, received.height) != (643, 359)
    assert f"643x359 wanted, {sent.width}x{sent.height} granted" in caplog.text
    assert "17 fps wanted" in caplog.text


def test_an_exhausted_or_refusing_heap_is_an_error(vivid: Vivid, port: int) -> None:
    with pytest.raises(MemoryError, match=r"size_limit_mb|no memory left"):
        Sender(
            device="test", heap=UDMABUF, address=LOCALHOST, port=port, width=8192, height=8192
        ).run()
    with pytest.raises(errors.HeapNotFoundError, match=SYSTEM_HEAP):
        vivid.sender(port, memory="dmabuf", heap="/dev/dma_heap/nope").run()


def test_what_is_not_permitted(vivid: Vivid, port: int) -> None:
    nobody = 65534
    test_source = Sender(device="test", heap=SYSTEM_HEAP, address=LOCALHOST, port=port)
    groups = os.getgroups()
    os.setgroups([])
    os.setegid(nobody)
    os.seteuid(nobody)
    try:
        with pytest.raises(errors.DevicePermissionError, match="group video"):
            vivid.sender(port).run()
        with pytest.raises(errors.HeapPermissionError, match=f"{SYSTEM_HEAP}.*udev rule"):
            test_source.run()
    finally:
        os.seteuid(0)
        os.setegid(0)
        os.setgroups(groups)
