"""The demonstration: guest A's camera, captured in guest B, and pictures of it.

Leaves demo/capture.raw and demo/contact-sheet.png, and of guest B's virtual camera, which shows
A's, demo/virtual-camera.png; and of the page in guest B, demo/page.json, its figures while the
stream went on. Exit status 0 only if every frame arrived, and that picture is one of them.
"""

import io
import json
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import av
from PIL import Image, ImageDraw

from guests.guest import CHECKOUT, DISK, VENV, VIVID, HungError, NoGuestError, check, describe
from guests.link import best
from guests.pair import PORT, Outcome, run_pair

FRAMES = 300
WIDTH, HEIGHT = 1280, 720
FRAME_BYTES = WIDTH * HEIGHT * 2
CAPTURE = CHECKOUT / "demo/capture.raw"
SHEET = CHECKOUT / "demo/contact-sheet.png"
TAKEN = CHECKOUT / "demo/virtual-camera.raw"
PICTURE = CHECKOUT / "demo/virtual-camera.png"
PAGE = CHECKOUT / "demo/page.json"
PAGE_PORT = 8080
COLUMNS, ROWS = 4, 3
THUMBNAIL = (480, 270)
GAP = 6
CLOCK = (16, 15, 160, 31)
"""Where vivid writes its clock and its frame counter."""

SENDER = f"--width {WIDTH} --height {HEIGHT} --format YUYV --fps 30 --frames {FRAMES}"

LOOP = rf"""
v4l2-ctl --device /dev/video1 --set-output 1
v4l2-ctl --device /dev/video0 --set-input 3
for node in 0 1; do v4l2-ctl --device /dev/video$node --set-dv-bt-timings index=7; done
v4l2-ctl --device /dev/video0 --set-ctrl hdmi_000_0_is_connected_to=2,osd_text_mode=2
(
    until grep -q ' [0-9A-F]*:{PORT:04X} [0-9A-F:]* 01 ' /proc/net/tcp*; do sleep 0.2; done
    sleep 5
    v4l2-ctl --device /dev/video0 --stream-mmap --stream-count 1 --stream-to {TAKEN} \
        --set-fmt-video width={WIDTH},height={HEIGHT},pixelformat=YUYV
    exec 3<> /dev/tcp/127.0.0.1/{PAGE_PORT}
    printf 'GET /figures HTTP/1.0\r\nHost: localhost\r\n\r\n' >&3
    sed '1,/^\r$/d' <&3 > {PAGE}
) > /dev/null 2>&1 &
"""
"""Makes guest B's vivid a virtual camera: /dev/video0 shows what /dev/video1 is given (1280x720 at
30 frames a second). Once frames have come for a while another program takes a picture with it, and
one more asks the page for its figures: bash itself, for others take seconds to start there."""


def say(line: str) -> None:
    """Print a line of a run's."""
    print(line.rstrip("\n"), flush=True)


def in_guests() -> tuple[Outcome, Outcome]:
    """Run between two guests, with vivid as the camera."""
    check()
    # First of all, since for a bridge it starts the program over.
    joined = best()
    say(f"two guests: {describe()}")
    # Guest B dumps onto a disk that is the file: a shared folder (9p) takes some
    # 10 MB/s where guests are emulated.
    with CAPTURE.open("wb") as file:
        file.truncate(FRAMES * FRAME_BYTES)
    return run_pair(
        f"--device /dev/video0 {SENDER}",
        f"--output {DISK} --frames {FRAMES} --device /dev/video1 --view {PAGE_PORT}",
        joined=joined,
        prepare="v4l2-ctl -c horizontal_movement=5,timestamp_source=1",
        receiver_vivid=VIVID,
        prepare_receiver=LOOP,
        disk=CAPTURE,
        tell=say,
    )


def over_loopback() -> tuple[Outcome, Outcome]:
    """Run the same two commands here, with the built-in source and plain memory."""
    common = ["--heap", "memfd", "--port", str(PORT)]
    commands = str(VENV / "bin/v4l-dmabuf-")
    receiver = subprocess.Popen(
        [
            *(f"{commands}receiver", "--listen", "127.0.0.1", *common),
            *("--output", str(CAPTURE), "--frames", str(FRAMES)),
        ],
        stderr=subprocess.PIPE,
        text=True,
    )
    assert receiver.stderr is not None
    told = ""
    for line in receiver.stderr:
        told += line
        if "listening on" in line:
            break
    sender = subprocess.run(
        [
            *(f"{commands}sender", "--device", "test", "--address", "127.0.0.1"),
            *(*common, *SENDER.split()),
        ],
        stderr=subprocess.PIPE,
        text=True,
        check=False,
    )
    told += receiver.stderr.read()
    say(sender.stderr)
    say(told)
    return Outcome(sender.returncode, sender.stderr), Outcome(receiver.wait(), told)


def contact_sheet(capture: Path, sheet: Path) -> None:
    """Draw frames from across the run, each with its number and its corner enlarged."""
    count = COLUMNS * ROWS
    width, height = (side + GAP for side in THUMBNAIL)
    picture = Image.new("RGB", (COLUMNS * width - GAP, ROWS * height - GAP), "white")
    draw = ImageDraw.Draw(picture)
    with capture.open("rb") as file:
        for place in range(count):
            number = place * (FRAMES - 1) // (count - 1)
            file.seek(number * FRAME_BYTES)
            frame = decode(file.read(FRAME_BYTES))
            x, y = place % COLUMNS * width, place // COLUMNS * height
            picture.paste(frame.resize(THUMBNAIL), (x, y))
            corner = frame.crop(CLOCK)
            corner = corner.resize((corner.width * 2, corner.height * 2))
            right, bottom = x + THUMBNAIL[0], y + THUMBNAIL[1]
            picture.paste(corner, (right - corner.width, bottom - corner.height))
            draw.text((x + 8, bottom - 28), f"frame {number}", fill="white", font_size=20)
    picture.save(sheet)


def decode(frame: bytes) -> Image.Image:
    """Decode one YUYV frame."""
    options = {"pixel_format": "yuyv422", "video_size": f"{WIDTH}x{HEIGHT}"}
    with av.open(io.BytesIO(frame), "r", format="rawvideo", options=options) as container:
        return Image.fromarray(next(container.decode(video=0)).to_ndarray(format="rgb24"))


def took_a_frame(capture: Path, taken: Path, picture: Path) -> bool:
    """Draw what guest B's virtual camera gave; whether it is one of the frames, byte for byte."""
    frame = taken.read_bytes() if taken.exists() else b""
    if len(frame) != FRAME_BYTES:
        say(f"guest B's virtual camera gave {len(frame)} bytes, not a frame")
        return False
    decode(frame).save(picture)
    with capture.open("rb") as file:
        numbers = (n for n in range(FRAMES) if file.read(FRAME_BYTES) == frame)
        number = next(numbers, None)
    if number is None:
        say("guest B's virtual camera gave a picture that is none of the frames")
        return False
    say(f"guest B's virtual camera gave frame {number}, byte for byte")
    return True


def has_a_page(figures: Path) -> bool:
    """Say what the page in guest B told; whether it told of a stream that goes on."""
    told: Any = json.loads(figures.read_text() or "null") if figures.exists() else None
    if told is None or told["state"] != "running" or not told["report"]["frames"]:
        say("the page in guest B told of no stream that went on")
        return False
    report = told["report"]
    say(f"the page in guest B showed {report['frames']} frames by then, {report['fps']:.1f} fps")
    return True


def main() -> int:
    """Run it, and judge it."""
    CAPTURE.parent.mkdir(exist_ok=True)
    CAPTURE.unlink(missing_ok=True)
    for made in (SHEET, TAKEN, PICTURE, PAGE):
        made.unlink(missing_ok=True)
    has_guests = True
    begun = time.monotonic()
    try:
        sent, received = in_guests()
    except NoGuestError as error:
        say(f"no guests here: {error}")
        say("running over loopback instead, with the built-in source and no DMABUF")
        sent, received = over_loopback()
        has_guests = False
    except HungError as error:
        say(f"failed: {error}")
        return 1
    arrived = f"received {FRAMES} frames, {FRAMES * FRAME_BYTES} bytes" in received.stderr
    say(
        f"\n{'every' if arrived else 'not every'} frame arrived, exit status {sent.status} of the "
        f"sender and {received.status} of the receiver, {time.monotonic() - begun:.0f} s in all"
    )
    if (sent.status, received.status) != (0, 0) or not arrived:
        return 1
    contact_sheet(CAPTURE, SHEET)
    say(f"look at {SHEET.relative_to(CHECKOUT)}; the frames are {CAPTURE.relative_to(CHECKOUT)}")
    if has_guests:
        if not took_a_frame(CAPTURE, TAKEN, PICTURE):
            return 1
        say(f"its picture is {PICTURE.relative_to(CHECKOUT)}")
        if not has_a_page(PAGE):
            return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
