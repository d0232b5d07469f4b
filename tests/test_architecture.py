"""The wings of the house, from the ground up: each knows only those below it."""

import re
from pathlib import Path

ROOT = Path(__file__).parent.parent
SOURCE = ROOT / "src"


def wings() -> list[list[str]]:
    """Give the wings by the table in lib.rs, those of a row side by side."""
    table = re.findall(r"^//! \| (\[`.*?) \|", (SOURCE / "lib.rs").read_text(), re.MULTILINE)
    return [re.findall(r"`(\w+)`", row) for row in table]


def code_of(path: Path) -> str:
    """Give a file without its comments and its tests."""
    text = re.sub(r"//.*", "", path.read_text())
    return text.split("#[cfg(test)]\nmod tests {")[0]


def imports(path: Path) -> set[str]:
    """Give the modules of the crate's root that a file names."""
    code = code_of(path)
    names = set(re.findall(r"\bcrate::(\w+)", code))
    for group in re.findall(r"\bcrate::\{(.*?)\};", code, re.DOTALL):
        names |= set(re.findall(r"(?:^|,)\s*(\w+)", re.sub(r"\{.*?\}", "", group)))
    # A file's `super` is its folder; a mod.rs's is the folder above.
    below = path.relative_to(SOURCE).parent.parts
    depth = len(below) - (path.name == "mod.rs")
    for supers, name in re.findall(r"((?:\bsuper::)+)(\w+)", code):
        if supers.count("super") > depth:
            names.add(name)
    return names


def is_test(path: Path) -> bool:
    return path.name == "tests.rs" or "tests" in path.parent.parts


def test_each_wing_knows_only_those_below_it() -> None:
    order = {wing: level for level, row in enumerate(wings()) for wing in row}
    order["python"] = len(wings())
    assert len(order) > 10, "lib.rs has a table of the wings"
    wrong = []
    for path in sorted(SOURCE.rglob("*.rs")):
        wing = path.relative_to(SOURCE).parts[0].removesuffix(".rs")
        if wing == "lib" or is_test(path):
            continue
        assert wing in order, f"{wing} has no row in lib.rs's table of wings"
        wrong += [
            f"{path.relative_to(ROOT)} knows {name}, which is not below {wing}"
            for name in sorted(imports(path) & order.keys() - {wing})
            if order[name] >= order[wing]
        ]
    assert not wrong, "\n".join(wrong)


PACKAGE = ROOT / "python" / "v4l_dmabuf"


def test_the_commands_know_the_api_and_it_does_not_know_them() -> None:
    # The page is a part of the API: a run shows itself on it. The pytest plugin is a program.
    levels = [["api", "view"], ["verdicts"], ["check", "compare", "lab"], ["commands", "testing"]]
    order = {wing: level for level, row in enumerate(levels) for wing in row}
    wrong = []
    for path in sorted(PACKAGE.rglob("*.py")):
        parts = path.relative_to(PACKAGE).parts
        name = parts[0].removesuffix(".py")
        wing = name if name in order else "api"
        code = path.read_text()
        names = re.findall(r"^\s*(?:from|import) v4l_dmabuf\.(\w+)", code, re.MULTILINE)
        wrong += [
            f"{path.relative_to(ROOT)} knows {name}, which is not below {wing}"
            for name in names
            if order.get(name, 0) > order[wing]
        ]
    assert not wrong, "\n".join(wrong)
