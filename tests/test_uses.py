"""What frames are for: each use as a program would write it, with an end after some frames."""

import asyncio
import itertools
import json
import socket
import threading
from typing import Any

import cv2
import numpy as np

from frames_support import sending
from support import LOCALHOST, receiver
from v4l_dmabuf import Capture, DmaBuf, Frame, Receiver, Sender, Slot

VGA: dict[str, Any] = {"width": 640, "height": 480}


def test_show_what_is_received(port: int) -> None:
    shown = []
    with (
        Receiver(
            port=port, listen=LOCALHOST, heap="memfd", buffers=6, on_overrun="drop-oldest"
        ) as end,
        sending(port, 30, fps=60, **VGA),
    ):
        for frame in end:
            picture = cv2.cvtColor(frame.array(), cv2.COLOR_YUV2BGR_YUYV)
            frame.release()
            shown.append(picture)
    assert {picture.shape for picture in shown} == {(480, 640, 3)}
    assert 1 <= len(shown) <= 30


def test_hand_a_frame_to_another_process_and_hold_it_until_that_is_done(port: int) -> None:
    ours, theirs = socket.socketpair()
    means = []

    def use() -> None:
        header, fds, _, _ = socket.recv_fds(theirs, 1 << 16, 8)
        assert json.loads(header)["width"] == 640
        with DmaBuf.from_header(header, fds) as buffer:
            means.append(buffer.array().mean())
        theirs.send(b"\n")

    thread = threading.Thread(target=use)
    thread.start()
    with ours, theirs, receiver(port) as end, sending(port, 1, **VGA):
        with end.get(timeout=10) as frame, frame.dmabuf() as buffer:
            socket.send_fds(ours, [buffer.header()], buffer.fds)
            ours.recv(1)
            assert means == [frame.array().mean()]
        thread.join()


def test_be_the_source(port: int) -> None:
    pictures = (np.full((480, 640, 3), number, np.uint8) for number in itertools.count())

    def draw(slot: Slot) -> None:
        slot.array()[:] = next(pictures)

    with receiver(port) as end:
        sender = Sender(
            address=LOCALHOST, port=port, heap="memfd", format="RGB3", source=draw, **VGA
        )
        thread = threading.Thread(target=sender.run, kwargs={"frames": 20})
        thread.start()
        assert [int(frame.array()[479, 639, 2]) for frame in end] == list(range(20))
        thread.join()


def test_process_frames_beside_an_event_loop(port: int) -> None:
    processed = []

    def process(frame: Frame) -> None:
        processed.append(frame.array().sum())

    async def main() -> None:
        async with receiver(port) as end:
            with sending(port, 20, **VGA):
                async for frame in end:
                    await asyncio.to_thread(process, frame)

    asyncio.run(main())
    assert len(processed) == 20


def test_capture_without_a_network() -> None:
    numbers = []
    for frame in Capture(device="test", heap="memfd", width=1280, height=720):
        numbers.append(frame.sequence)
        if len(numbers) == 20:
            break
    assert numbers == list(range(20))
