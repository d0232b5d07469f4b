"""The schema of a result: the summary's part of it comes from `v4l_dmabuf.Report`.

Writes docs/result.schema.json anew. A report's field is told once, in the package, with its
type and its documentation.
"""

import ast
import inspect
import json
import re
from dataclasses import fields
from pathlib import Path
from types import NoneType, UnionType
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

from v4l_dmabuf import Report, Times
from v4l_dmabuf.resources import Resource

SCHEMA = Path(__file__).parent.parent / "docs/result.schema.json"
SIGNED = {"offset", "offset_drift", "slope"}
"""Numbers that may be less than 0."""


SIMPLE = {bool: "boolean", int: "integer", float: "number", str: "string"}


def documentation(cls: type) -> dict[str, str]:
    """Give the docstring of each field of a class, as a schema's description says it."""
    (body,) = ast.parse(inspect.getsource(cls)).body
    assert isinstance(body, ast.ClassDef)
    told = {}
    for one, after in zip(body.body, body.body[1:], strict=False):
        if (
            isinstance(one, ast.AnnAssign)
            and isinstance(one.target, ast.Name)
            and isinstance(after, ast.Expr)
            and isinstance(after.value, ast.Constant)
        ):
            text = re.sub(r"\s+", " ", str(after.value.value)).strip()
            text = text.split(": - ")[0].removesuffix(", those that were seen")
            told[one.target.id] = text.replace("None", "null").replace("``", "`")
    return told


def of_type(hint: Any, name: str) -> dict[str, Any]:
    """Give the schema of a type."""
    if get_origin(hint) in {Union, UnionType}:
        (inner,) = (one for one in get_args(hint) if one is not NoneType)
        schema = of_type(inner, name)
        return {
            **schema,
            **({"enum": [*schema["enum"], None]} if "enum" in schema else {}),
            **({"type": [schema["type"], "null"]} if "type" in schema else {}),
        }
    if get_origin(hint) is Literal:
        return {"enum": list(get_args(hint))}
    if hint in SIMPLE:
        least = {"minimum": 0} if hint in {int, float} and name not in SIGNED else {}
        return {"type": SIMPLE[hint], **least}
    return of_mapping(hint, name)


def of_mapping(hint: Any, name: str) -> dict[str, Any]:
    """Give the schema of a mapping, from lengths to counts or from names to times."""
    key, value = get_args(hint)
    names: dict[str, Any] = {"enum": keys(name)} if key is str else {"pattern": "^[1-9][0-9]*$"}
    if value is Times:
        values = of_class(Times, "Seconds, to three digits.")
    else:
        values = of_type(value, name) | ({"minimum": 1} if value is int else {})
    return {"type": "object", "propertyNames": names, "additionalProperties": values}


def keys(name: str) -> list[str]:
    """Give the keys that a mapping's documentation lists: words in double backquotes."""
    cls = Report if name == "stages" else Times
    source = inspect.getsource(cls)
    text = source.split(f"    {name}: Mapping", 1)[1].split('"""')[1]
    listed = re.findall(r"^ *- (.*?)[,:]", text, re.MULTILINE) if name == "stages" else [text]
    found = [key for part in listed for key in re.findall(r"``([\w.]+)``", part)]
    if name == "stages":
        # Two of them are told together.
        found += [key for key in re.findall(r"``(\w+_corrected)``", text) if key not in found]
    return found


def of_class(cls: type, description: str, *, nullable: bool = False) -> dict[str, Any]:
    """Give the schema of a class of fields."""
    hints, told = get_type_hints(cls), documentation(cls)
    properties = {
        one.name: {**of_type(hints[one.name], one.name), "description": told[one.name]}
        for one in fields(cls)
    }
    return {
        "type": ["object", "null"] if nullable else "object",
        "description": description,
        "properties": properties,
        "required": list(properties),
        "additionalProperties": False,
    }


def generated() -> dict[str, Any]:
    """Give the whole schema, with the summary as the package has it."""
    schema: dict[str, Any] = json.loads(SCHEMA.read_text(encoding="utf-8"))
    schema["properties"]["summary"] = of_class(
        Report,
        "What came of it; null if the run ended before it knew what the stream is.",
        nullable=True,
    )
    resource = of_class(Resource, "One of them.")
    names = ("rss", "descriptors", "threads", "dmabufs", "dmabuf_bytes")
    schema["properties"]["resources"] = {
        "type": "object",
        "description": "What the process had of memory (RSS, in bytes), descriptors, threads and "
        "DMABUFs (by its descriptors) along the run.",
        "properties": {
            **dict.fromkeys(names, resource),
            "dmabuf_bytes_by_exporter": {"type": "object", "additionalProperties": resource},
            "looks": {"type": "integer", "minimum": 2, "description": "How often it was looked."},
        },
        "required": [*names, "dmabuf_bytes_by_exporter", "looks"],
        "additionalProperties": False,
    }
    if "resources" not in schema["required"]:
        schema["required"].append("resources")
    return schema


if __name__ == "__main__":
    SCHEMA.write_text(json.dumps(generated(), indent=2) + "\n", encoding="utf-8")
