"""Verdicts as JUnit's XML, which CI systems show."""

from collections.abc import Sequence
from xml.etree import ElementTree

from v4l_dmabuf.text import escaped
from v4l_dmabuf.verdicts.verdict import Outcome, Suite


def junit(suites: Sequence[Suite], program: str) -> str:
    """Give a test suite a suite, and in it a test case a verdict of ``program``'s."""
    root = ElementTree.Element("testsuites", name=program)
    for suite in suites:
        outcomes = [verdict.outcome for verdict in suite.verdicts]
        element = ElementTree.SubElement(
            root,
            "testsuite",
            name=_text(suite.name),
            tests=str(len(outcomes)),
            failures=str(outcomes.count(Outcome.FAIL)),
            errors="0",
            skipped=str(outcomes.count(Outcome.SKIP)),
        )
        for verdict in suite.verdicts:
            case = ElementTree.SubElement(
                element, "testcase", classname=program, name=_text(verdict.name)
            )
            told = _text(verdict.told)
            match verdict.outcome:
                case Outcome.FAIL:
                    ElementTree.SubElement(case, "failure", message=told)
                case Outcome.SKIP:
                    ElementTree.SubElement(case, "skipped", message=told)
                case _:
                    ElementTree.SubElement(case, "system-out").text = told
    ElementTree.indent(root)
    return ElementTree.tostring(root, encoding="unicode", xml_declaration=True) + "\n"


def _text(text: str) -> str:
    """Give a text without what XML can't have."""
    return escaped(text).encode("utf-8", "backslashreplace").decode("utf-8")
