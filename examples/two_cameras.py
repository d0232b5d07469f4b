"""Take two cameras' pictures in one event loop: `two_cameras.py [DEVICE DEVICE [FRAMES]]`."""

import asyncio
import sys

from v4l_dmabuf import Capture


async def watch(device: str, frames: int) -> None:
    async with Capture(device=device, on_overrun="drop-oldest") as capture:
        count = 0
        async for frame in capture:
            # What takes long is for a thread: the loop goes on, and so do the other frames.
            mean = await asyncio.to_thread(lambda view: view.mean(), frame.array())
            frame.release()
            print(f"{device}: frame {frame.sequence}, mean {mean:.1f}, {frame.gap} missed")
            count += 1
            if count == frames:
                return


async def main(
    first: str = "/dev/video0", second: str = "/dev/video2", frames: str = "100"
) -> None:
    await asyncio.gather(watch(first, int(frames)), watch(second, int(frames)))


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
