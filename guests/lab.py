"""Two guests as a lab's boards: behind ssh, driven by v4l-dmabuf-lab, with the package's wheel.

Each is a plain guest with vivid's camera that receives its own stream, over loopback. Leaves the
results and the page under demo/lab. Needs root, for a bridge.
"""

import subprocess
import sys
import time
from contextlib import ExitStack
from pathlib import Path

from guests.guest import CHECKOUT, VENV, Guest, NoGuestError
from guests.link import Link, bridge, can_bridge, enter_namespace
from guests.ssh import Server

FOLDER = CHECKOUT / "demo/lab"
_OUR_ADDRESS = "10.77.0.100"
_PATIENCE = 180.0
_TARGET = """
  {name}:
    resources:
      NetworkService: {{address: {address}, username: root}}
    drivers:
      SSHDriver: {{keyfile: {key}}}
"""
STREAM = "-d /dev/video0 -W 320 -H 240 --fps 30 -n 500 --verify"


def guest(name: str, link: Link, server: Server) -> Guest:
    """Boot a board."""
    # vivid's timestamps are the start of exposure then, as a camera's.
    stamp = "v4l2-ctl -d /dev/video0 -c timestamp_source=1"
    return Guest(
        f"{stamp}\n{server.script}",
        link=link,
        memory="2G",
        stderr=lambda line: print(f"{name} {line}", end="", file=sys.stderr),
    )


def wait_for(address: str, key: Path) -> None:
    """Wait until a board lets us in."""
    deadline = time.monotonic() + _PATIENCE
    options = ["UserKnownHostsFile=/dev/null", "StrictHostKeyChecking=no", "ConnectTimeout=5"]
    settings = [part for option in options for part in ("-o", option)]
    command = ["ssh", "-F", "none", "-i", str(key), *settings, f"root@{address}", "true"]
    while subprocess.run(command, capture_output=True, check=False).returncode != 0:
        if time.monotonic() > deadline:
            raise NoGuestError(f"no ssh server answers at {address}")
        time.sleep(1)


def main() -> int:
    """Boot, and run the lab; the result is its exit status."""
    if not can_bridge():
        raise NoGuestError("the guests and we are joined by a bridge, which needs root")
    enter_namespace()
    FOLDER.mkdir(parents=True, exist_ok=True)
    pip = [sys.executable, "-m", "pip", "--quiet", "wheel", "--no-deps", "--no-build-isolation"]
    subprocess.run([*pip, "--wheel-dir", FOLDER / "dist", CHECKOUT], check=True)
    (wheel,) = (FOLDER / "dist").glob("*.whl")
    server = Server(FOLDER / "ssh")
    with bridge() as ends, ExitStack() as stack:
        address = ["ip", "address", "add", f"{_OUR_ADDRESS}/24", "dev", "br0"]
        subprocess.run(address, check=True)
        links = {"A": ends.sender, "B": ends.receiver}
        print("booting two guests", flush=True)
        for name, link in links.items():
            stack.enter_context(guest(name, link, server))
        for link in links.values():
            wait_for(link.address, server.key)
        environment = FOLDER / "environment.yaml"
        targets = [
            _TARGET.format(name=name, address=link.address, key=server.key)
            for name, link in links.items()
        ]
        environment.write_text(f"targets:{''.join(targets)}")
        options = f"--a A --b B --warm-up 1 --max-lost 0 -o {FOLDER} -- {STREAM}".split()
        lab = [str(VENV / "bin/v4l-dmabuf-lab"), str(environment), "--wheel", str(wheel)]
        ran = subprocess.run([*lab, *options], check=False)
        return ran.returncode


if __name__ == "__main__":
    try:
        status = main()
    except NoGuestError as error:
        print(f"lab: {error}", file=sys.stderr)
        sys.exit(2)
    # Worse, or not to be told, is a result like any other: only what went wrong fails.
    sys.exit(0 if status in {0, 1, 3} else status)
