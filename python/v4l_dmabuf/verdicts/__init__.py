"""Verdicts on figures, in the forms that labs read: KTAP, JUnit's XML, LAVA's signals."""

from v4l_dmabuf.verdicts.junit import junit
from v4l_dmabuf.verdicts.ktap import ktap
from v4l_dmabuf.verdicts.lava import lava
from v4l_dmabuf.verdicts.verdict import Outcome, Suite, Verdict, status

__all__ = ["Outcome", "Suite", "Verdict", "junit", "ktap", "lava", "status"]
