"""Save every tenth picture of a stream as a PNG file: `stills.py PORT [FOLDER]`."""

import sys
from pathlib import Path

from PIL import Image

from v4l_dmabuf import Receiver


def main(port: str, folder: str = ".") -> None:
    with Receiver(port=int(port)) as receiver:
        for frame in receiver:
            if frame.counter % 10 == 0:
                # The sender is to capture RGB3: its bytes are Pillow's.
                picture = Image.fromarray(frame.array(), "RGB")
                picture.save(Path(folder) / f"frame-{frame.sequence:06}.png")
            frame.release()
    print(receiver.report)


if __name__ == "__main__":
    main(*sys.argv[1:])
