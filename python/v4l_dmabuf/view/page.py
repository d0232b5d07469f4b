"""The page: one file without outside resources, and what a browser may do for it."""

import base64
import hashlib
import re
from dataclasses import dataclass
from importlib import resources


@dataclass(frozen=True)
class Page:
    """The page as it is sent."""

    html: bytes
    """All of it."""
    policy: str
    """Content-Security-Policy: its own script and style, and questions to where it came from."""


def page() -> Page:
    """Give the page."""
    html = resources.files("v4l_dmabuf.view").joinpath("page.html").read_text("utf-8")
    allowed = {
        kind: " ".join(
            f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"
            for text in re.findall(rf"<{kind}>(.*?)</{kind}>", html, re.DOTALL)
        )
        for kind in ("script", "style")
    }
    policy = (
        f"default-src 'none'; script-src {allowed['script']}; style-src {allowed['style']}; "
        "connect-src 'self'; img-src data: blob:; base-uri 'none'; form-action 'none'; "
        "frame-ancestors 'none'"
    )
    return Page(html.encode(), policy)
