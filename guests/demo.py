"""The demonstration: guest A's camera, captured in guest B, and a picture of it.

Leaves demo/capture.raw and demo/contact-sheet.png. Exit status 0 only if every
frame arrived.
"""

import io
import subprocess
import sys
import time
from pathlib import Path

import av
from PIL import Image, ImageDraw

from guests.guest import CHECKOUT, DISK, VENV, HungError, NoGuestError, check, describe
from guests.link import best
from guests.pair import PORT, Outcome, run_pair

FRAMES = 300
WIDTH, HEIGHT = 1280, 720
FRAME_BYTES = WIDTH * HEIGHT * 2
CAPTURE = CHECKOUT / "demo/capture.raw"
SHEET = CHECKOUT / "demo/contact-sheet.png"
COLUMNS, ROWS = 4, 3
THUMBNAIL = (480, 270)
GAP = 6
CLOCK = (16, 15, 160, 31)
"""Where vivid writes its clock and its frame counter."""

SENDER = f"--width {WIDTH} --height {HEIGHT} --format YUYV --fps 30 --frames {FRAMES}"


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
        f"--output {DISK} --frames {FRAMES}",
        joined=joined,
        prepare="v4l2-ctl -c horizontal_movement=5,timestamp_source=1",
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


def main() -> int:
    """Run it, and judge it."""
    CAPTURE.parent.mkdir(exist_ok=True)
    CAPTURE.unlink(missing_ok=True)
    SHEET.unlink(missing_ok=True)
    begun = time.monotonic()
    try:
        sent, received = in_guests()
    except NoGuestError as error:
        say(f"no guests here: {error}")
        say("running over loopback instead, with the built-in source and no DMABUF")
        sent, received = over_loopback()
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
    return 0


if __name__ == "__main__":
    sys.exit(main())
