"""Taking frames beside other work: in event loops and threads."""

import asyncio
import os
import random
import threading
import time
from typing import Self

import pytest

from frames_support import capture, is_whole, sending
from reference import frame as wire_frame
from reference import stream_header
from support import connect, receiver
from v4l_dmabuf import Frame, Receiver
from v4l_dmabuf.errors import (
    Error,
    FramesHeldError,
    NoFrameError,
    StreamEndedError,
)


def test_an_event_loop_takes_frames_beside_its_other_tasks(port: int) -> None:
    async def take() -> tuple[list[int], int]:
        steps = 0

        async def count() -> None:
            nonlocal steps
            while True:
                steps += 1
                await asyncio.sleep(0.001)

        counting = asyncio.create_task(count())
        numbers: list[int] = []
        async with receiver(port) as end:
            with sending(port, 300, fps=1000):
                async for frame in end:
                    numbers.append(frame.sequence)
                    frame.release()
        counting.cancel()
        return numbers, steps

    numbers, steps = asyncio.run(take())
    assert numbers == list(range(300))
    assert steps > 50, "the other task was kept from its steps"


def test_a_step_that_is_cancelled_takes_no_frame() -> None:
    async def take() -> list[int]:
        numbers: list[int] = []
        async with capture(fps=100, buffers=8) as source:
            steps = aiter(source)
            while len(numbers) < 20:
                try:
                    frame = await asyncio.wait_for(anext(steps), random.uniform(0, 0.02))  # noqa: S311
                except TimeoutError:
                    continue
                numbers.append(frame.sequence)
                frame.release()
        return numbers

    assert asyncio.run(take()) == list(range(20))


def test_an_error_reaches_an_event_loop_after_the_frames(port: int) -> None:
    async def take() -> None:
        with connect(port) as connection:
            connection.sendall(stream_header() + wire_frame(b"x")[:-1])
            connection.close()
            async for _ in end:
                pytest.fail("no frame came whole")

    with receiver(port) as end, pytest.raises(Error):
        asyncio.run(take())


def test_all_held_is_told_to_an_event_loop_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("v4l_dmabuf.steps._LOOK_SECONDS", 0.2)

    async def take() -> None:
        async with capture(buffers=2) as source:
            held = [frame async for frame in source]
            pytest.fail(f"there were more buffers than 2: {held}")

    with pytest.raises(FramesHeldError):
        asyncio.run(take())


def test_get_from_several_threads_gives_each_frame_to_one() -> None:
    seen: list[int] = []

    def take() -> None:
        try:
            while True:
                with source.get() as frame:
                    seen.append(frame.sequence)
        except StreamEndedError:
            pass

    with capture(buffers=8) as source:
        threads = [threading.Thread(target=take) for _ in range(3)]
        for thread in threads:
            thread.start()
        while len(seen) < 200:
            time.sleep(0.01)
        source.stop()
        for thread in threads:
            thread.join(10)
            assert not thread.is_alive()
    assert sorted(seen) == list(range(len(seen)))


class Beside:
    """Another thread, and the longest time for which it could not run."""

    longest = 0.0

    def __enter__(self) -> Self:
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._work)
        self._thread.start()
        return self

    def _work(self) -> None:
        last = time.monotonic()
        while not self._done.is_set():
            now = time.monotonic()
            self.longest = max(self.longest, now - last)
            last = now

    def __exit__(self, *_: object) -> None:
        self._done.set()
        self._thread.join()


def test_the_interpreter_is_free_while_get_waits() -> None:
    with capture(fps=0.2) as source:
        source.get()
        with Beside() as beside, pytest.raises(NoFrameError):
            source.get(timeout=2)
    assert beside.longest < 1, "another thread stood still"


def test_the_interpreter_is_free_while_a_frame_is_written_into_a_pipe() -> None:
    reader, writer = os.pipe()

    def read_late() -> None:
        time.sleep(2)
        while os.read(reader, 1 << 20):
            pass
        os.close(reader)

    thread = threading.Thread(target=read_late)
    thread.start()
    with (
        capture(width=1280, height=720) as source,
        Beside() as beside,
        open(writer, "wb", buffering=0) as pipe,  # noqa: PTH123 -- a descriptor
    ):
        view = memoryview(source.get())
        while view.nbytes:
            view = view[pipe.write(view) :]
    thread.join()
    assert beside.longest < 1, "another thread stood still"


class Someone:
    """Takes a subscription's frames on a thread, holds them, and lets go as chance has it."""

    def __init__(self, end: Receiver, rng: random.Random) -> None:
        self.depth = rng.randint(1, 4)
        self.tap = end.subscribe(self.depth, rng.choice(["drop-oldest", "drop-newest"]))
        self.seen: list[int] = []
        self.changed: list[int] = []
        self._chance = random.Random(rng.random())  # noqa: S311
        self.thread = threading.Thread(target=self._take)
        self.thread.start()

    def _take(self) -> None:
        held: list[Frame] = []
        for frame in self.tap:
            self.seen.append(frame.sequence)
            held.append(frame)
            if len(held) >= self.depth or self._chance.random() < 0.5:
                self.changed += [one.sequence for one in held if not is_whole(one, one)]
                held.clear()
                del frame
            time.sleep(self._chance.random() / 500)


def test_random_consumers_account_for_every_frame(port: int) -> None:
    """Policies, holds and waits at random: each frame is where the counts say."""
    rng = random.Random(7)  # noqa: S311
    for _ in range(4):
        with receiver(port) as end:
            crowd = [Someone(end, rng) for _ in range(3)]
            with sending(port, 200, fps=2000):
                numbers = [frame.sequence for frame in end]
            assert numbers == list(range(200))
            for one in crowd:
                one.thread.join(20)
                assert not one.thread.is_alive()
                counts = one.tap.report
                assert counts.received == 200
                assert counts.delivered == len(one.seen)
                known = counts.delivered + counts.consumer_drops + counts.undelivered
                assert counts.received == known
                assert one.seen == sorted(set(one.seen))
                assert one.changed == [], "frames changed while they were held"
