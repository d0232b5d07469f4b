"""The same camera in a plain guest and in a Xen PV domain, compared.

Five runs each in turn, to a receiver in a plain guest. Leaves both sets of results and
the page under demo/compare. Needs root, for a bridge of three.
"""

import json
import os
import sys
from contextlib import ExitStack
from pathlib import Path

from bench.runs import Guests, Setup
from guests.guest import CHECKOUT, NoGuestError, has_kvm, xen
from guests.link import bridge, can_bridge, enter_namespace
from guests.remote import Remote, remote
from v4l_dmabuf.commands.compare import compare_main

RUNS = 5
FRAMES = 500
# A rate that both hold where they are emulated.
SETUP = Setup(width=640, height=480, rate=30)
# Xen's domain dies early on virtme-ng's choice under emulation, and figures of two CPUs
# would say more of the CPUs than of the hypervisors.
_CPU = "qemu64"


def main() -> int:
    """Boot, run, compare; the result is the exit status of the comparison."""
    if has_kvm():
        raise NoGuestError(
            "KVM works here: Xen runs beneath QEMU's emulation only, which would be compared "
            "with KVM; docs/comparing.md tells how to do this on real hosts"
        )
    hypervisor = xen()
    if not can_bridge():
        raise NoGuestError("three guests are joined by a bridge, which needs root")
    enter_namespace()
    os.environ["GUEST_CPU"] = _CPU
    folder = CHECKOUT / "demo/compare"
    folder.mkdir(parents=True, exist_ok=True)
    results: dict[str, list[str]] = {"plain": [], "xen": []}
    with bridge() as ends, ExitStack() as stack:
        assert ends.second_sender is not None
        print("booting three guests, one of them a Xen domain: a minute or two", flush=True)
        b = stack.enter_context(remote("receiver", ends.receiver))
        senders: dict[str, Remote] = {
            "plain": stack.enter_context(remote("plain", ends.sender)),
            "xen": stack.enter_context(remote("xen", ends.second_sender, xen=hypervisor)),
        }
        for guest in (b, *senders.values()):
            guest.wait_until_booted()
        pairs = {name: Guests(a, b) for name, a in senders.items()}
        print(
            "a run of each that does not count: the first finds nothing in the caches", flush=True
        )
        for pair in pairs.values():
            pair.run(SETUP, frames=FRAMES // 5)
        for number in range(1, RUNS + 1):
            for name, pair in pairs.items():
                print(f"run {number} of {RUNS}, {name}", flush=True)
                path = folder / f"{name}-{number}.json"
                result = pair.run(SETUP, frames=FRAMES, sender={"verify": True})
                path.write_text(json.dumps(result))
                results[name].append(str(path.relative_to(CHECKOUT)))
    os.chdir(CHECKOUT)
    return compare_main(
        [
            *("--a", *results["plain"], "--b", *results["xen"]),
            *("--name-a", "plain guest", "--name-b", "Xen PV domain"),
            *("--html", str(folder / "compare.html"), "--json", str(folder / "compare.json")),
        ]
    )


if __name__ == "__main__":
    try:
        status = main()
    except NoGuestError as error:
        print(f"compare: {error}", file=sys.stderr)
        sys.exit(2)
    print(f"\nthe page: {Path('demo/compare/compare.html')}")
    # Worse, or not to be told, is a result like any other: only what went wrong fails.
    sys.exit(0 if status in {0, 1, 3} else status)
