"""An ssh server for guests and namespaces: whoever has the key is root there.

Nothing of this machine's users is touched: what tells root's home is another file there.
"""

from __future__ import annotations

import shlex
import subprocess
from pathlib import Path


class Server:
    """Keys, and how a server that takes them is started."""

    def __init__(self, folder: Path) -> None:
        """Make the keys, in a folder that nobody else can write to."""
        folder.mkdir(parents=True, exist_ok=True)
        folder.chmod(0o700)
        self.key = folder / "key"
        """Who has it may log in as root."""
        self._host_key = folder / "host.key"
        self._users = folder / "passwd"
        home = folder / "home"
        (home / ".ssh").mkdir(parents=True, mode=0o700, exist_ok=True)
        for old in (self.key, self._host_key):
            old.unlink(missing_ok=True)
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", self.key], check=True)
        (home / ".ssh/authorized_keys").write_text(self.key.with_suffix(".pub").read_text())
        subprocess.run(
            ["dropbearkey", "-t", "ed25519", "-f", self._host_key], check=True, capture_output=True
        )
        users = Path("/etc/passwd").read_text().splitlines()
        others = [line for line in users if not line.startswith("root:")]
        self._users.write_text("\n".join([f"root:x:0:0::{home}:/bin/sh", *others]) + "\n")

    @property
    def script(self) -> str:
        """A shell's commands that serve, until they are killed; they need mounts of their own."""
        users, host_key = shlex.quote(str(self._users)), shlex.quote(str(self._host_key))
        return f"mount --bind {users} /etc/passwd && exec dropbear -F -s -p 22 -r {host_key}"
