"""Receive a stream and send it on, without a copy in between: `relay.py PORT ADDRESS PORT`."""

import sys

from v4l_dmabuf import Receiver, Sender


def main(port: str, address: str, onward: str) -> None:
    sender = Sender(address=address, port=int(onward), device="feed")
    with Receiver(port=int(port)) as receiver, sender.feed() as feed:
        for frame in receiver:
            feed.submit(frame)  # from the buffer that it was received into
            frame.release()
    print(sender.report)


if __name__ == "__main__":
    main(*sys.argv[1:])
