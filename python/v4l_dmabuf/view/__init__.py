"""A page that shows a stream while it goes on: its picture, and what is measured of it."""

from v4l_dmabuf.view.view import show

__all__ = ["show"]
