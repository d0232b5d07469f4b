"""How programs that take frames end: by Ctrl-C, with frames held, in a forked child."""

import asyncio
import gc
import os
import signal
import subprocess
import sys
import threading
import time

import pytest

from frames_support import capture, is_whole


def interrupted(code: str, wait: float = 0.5) -> tuple[int, str, float]:
    """Interrupt a program once it says ``ready``: its status, its stderr, and how long it took."""
    process = subprocess.Popen(
        [sys.executable, "-u", "-c", code],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    time.sleep(wait)
    begun = time.monotonic()
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=20)
    return process.returncode, errors, time.monotonic() - begun


CAPTURE = (
    "from v4l_dmabuf import Capture, Receiver\nc = Capture(device='test', heap='memfd', %s)\n"
)


@pytest.mark.parametrize(
    "code",
    [
        CAPTURE % "fps=0.1" + "with c:\n c.get(); print('ready')\n c.get()",
        CAPTURE % "buffers=2"
        + "k = []\nfor f in c:\n k.append(f)\n len(k) == 2 and print('ready')",
        CAPTURE % "" + "print('ready')\nwith c:\n for f in c: pass",
        "from v4l_dmabuf import Receiver\nimport socket\n"
        "s = socket.socket(); s.bind(('127.0.0.1', 0)); p = s.getsockname()[1]; s.close()\n"
        "with Receiver(port=p, listen='127.0.0.1') as r:\n print('ready')\n for f in r: pass",
        "from v4l_dmabuf import Sender\nimport socket\n"
        "s = socket.create_server(('127.0.0.1', 0)); p = s.getsockname()[1]\n"
        "print('ready')\nSender(address='127.0.0.1', port=p, protocol=2, heap='memfd',"
        " source=lambda slot: None).run()",
    ],
    ids=["get", "all held", "a loop", "nobody sends", "a receiver that takes nothing"],
)
def test_an_interrupt_ends_a_program_at_once(code: str) -> None:
    status, errors, seconds = interrupted(code)
    assert status == -signal.SIGINT, errors
    assert errors.rstrip().endswith("KeyboardInterrupt"), errors
    assert "panicked" not in errors
    assert seconds < 3, "it was to end at once"


def test_a_stream_outlives_an_interrupt_until_its_with_ends() -> None:
    code = (
        CAPTURE % "fps=20"
        + """
with c:
    c.get()
    print("ready")
    try:
        while True:
            last = c.get().sequence
    except KeyboardInterrupt:
        assert c.get(5).sequence == last + 1, "the stream went on"
"""
    )
    status, errors, _ = interrupted(code)
    assert status == 0, errors


@pytest.mark.parametrize(
    "ending",
    ["", "sys.exit(3)", "raise ValueError", "c.close()", "del c, f; import gc; gc.collect()"],
)
def test_a_program_ends_with_frames_held(ending: str) -> None:
    code = (
        "import sys\n" + CAPTURE % "buffers=4" + "s = c.subscribe()\n"
        "f = [c.get() for _ in range(3)]\na = [bytes(x[:4]) for x in map(memoryview, f)]\n"
        "m = memoryview(f[0])\n" + ending
    )
    begun = time.monotonic()
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=30, check=False
    )
    assert done.returncode == {"sys.exit(3)": 3, "raise ValueError": 1}.get(ending, 0), done.stderr
    assert "panicked" not in done.stderr
    assert "Fatal" not in done.stderr
    assert time.monotonic() - begun < 10


def test_a_forked_child_that_drops_frames_costs_its_parent_none() -> None:
    with capture(fps=200, buffers=8) as source:
        held = [source.get() for _ in range(3)]
        views = [memoryview(frame) for frame in held]
        child = os.fork()
        if child == 0:
            status = 1
            try:
                views.clear()
                # The parent's, and not this process's to give back.
                assert not any(frame.release() for frame in held[:2])
                held.clear()
                status = 0
            finally:
                os._exit(status)
        assert os.waitpid(child, 0)[1] == 0
        assert all(is_whole(frame, view) for frame, view in zip(held, views, strict=True))
        del views
        numbers = []
        for frame in held:
            numbers.append(frame.sequence)
            assert frame.release()
        while len(numbers) < 50:
            numbers.append(source.get(timeout=10).sequence)
    assert numbers == list(range(50))


def streams() -> list[threading.Thread]:
    """Give the threads on which streams go on."""
    return [thread for thread in threading.enumerate() if thread.name == "v4l-dmabuf-stream"]


def ended(patience: float = 10) -> bool:
    """Tell whether no stream goes on any more, for which it waits a while."""
    due = time.monotonic() + patience
    while streams() and time.monotonic() < due:
        time.sleep(0.01)
    return not streams()


def test_a_stream_ends_with_the_last_reference_to_what_runs_it() -> None:
    frame = capture().get(timeout=10)
    assert ended(), "the stream of a dropped Capture went on"
    assert is_whole(frame, frame), "a frame that is held changed"
    held = capture()
    held.get(timeout=10).release()
    assert streams(), "the stream of a Capture that is held ended"
    del held
    assert ended()


def test_a_task_keeps_what_it_iterates() -> None:
    async def take() -> int:
        taken = 0
        async for frame in capture():
            gc.collect()
            frame.release()
            taken += 1
            if taken == 20:
                break
        return taken

    assert asyncio.run(take()) == 20
    gc.collect()
    assert ended(), "the stream went on after the loop"
