"""Throw-away guests, what joins them, and what runs in them."""
