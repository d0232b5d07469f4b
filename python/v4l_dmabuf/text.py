"""Text that others wrote, as a terminal may have it."""

_TURNING = (0x61C, 0x200E, 0x200F, *range(0x2028, 0x202F), *range(0x2066, 0x206A))
_ESCAPES = {code: f"\\x{code:02x}" for code in (*range(0x20), *range(0x7F, 0xA0))}
_ESCAPES |= {code: f"\\u{code:04x}" for code in _TURNING}


def escaped(text: str) -> str:
    """Give ``text`` with all escaped that a terminal would obey rather than show."""
    return text.translate(_ESCAPES)
