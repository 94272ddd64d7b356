"""The page docs/config.md, printed from the section classes by `python -m twhin_spark.config.reference`."""

from __future__ import annotations

import json
import sys
import types
from collections.abc import Iterator
from datetime import datetime
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from annotated_types import Ge, Gt, Le, Lt
from pydantic import BaseModel
from pydantic.fields import FieldInfo

from twhin_spark.config.sections import Config

_HEAD = """# Config reference

<!-- Printed from the code by `make docs`. -->

One YAML file describes a data set and a model. `--set a.b=value` overrides one option; a number is a position
in a list, as in `publishing.gates.0.beats=als`. Unknown keys are errors.
Times are UTC; a path is relative to the working directory.
"""


def reference() -> str:
    """Return the reference page in Markdown: one table for each section, in the order of the file."""
    return "\n".join([_HEAD, *_section("", Config)])


def _section(path: str, model: type[BaseModel]) -> Iterator[str]:
    yield f"## {path.rstrip('.') or 'Top level'}\n"
    if model.__doc__ and path:
        yield f"{model.__doc__}\n"
    yield "| option | type | default | meaning |\n| --- | --- | --- | --- |"
    inner: list[tuple[str, type[BaseModel]]] = []
    for name, field in model.model_fields.items():
        key = field.alias or name
        meaning = str(field.description).replace("|", r"\|")  # a bare | would end the table's cell
        yield f"| `{path}{key}` | {_type(field.annotation, field.metadata)} | {_default(field)} | {meaning} |"
        inner += _models(f"{path}{key}", field.annotation)
    yield ""
    for inner_path, inner_model in inner:
        yield from _section(f"{inner_path}.", inner_model)


def _models(path: str, annotation: Any) -> list[tuple[str, type[BaseModel]]]:
    """Return the paths and classes of the sections that an option holds: itself, by name, or by position."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [(path, annotation)]
    if get_origin(annotation) in (Union, types.UnionType):
        return [section for argument in get_args(annotation) for section in _models(path, argument)]
    for container, suffix in ((dict, ".NAME"), (list, ".N")):
        if get_origin(annotation) is container:
            return _models(path + suffix, get_args(annotation)[-1])
    return []


def _type(annotation: Any, metadata: list[Any]) -> str:
    origin, arguments = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        return _type(arguments[0], [*arguments[1:], *metadata])
    if origin in (Union, types.UnionType):
        return " or ".join("null" if a is type(None) else _type(a, metadata) for a in arguments)
    if origin is Literal:
        return ", ".join(f"`{value}`" for value in arguments)
    if origin is list:
        return f"list of {_type(arguments[0], [])}"
    if origin is dict:
        return f"name → {_type(arguments[1], [])}"
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return "section"
    names = {str: "text", int: "integer", float: "number", bool: "true, false", datetime: "time"}
    return names[annotation] + _range(metadata)


def _range(metadata: list[Any]) -> str:
    flat = [part for item in metadata for part in (item.metadata if isinstance(item, FieldInfo) else [item])]
    signs = {Gt: (">", "gt"), Ge: ("≥", "ge"), Lt: ("<", "lt"), Le: ("≤", "le")}
    bounds = [
        f"{sign} {getattr(bound, attribute):g}"
        for bound in flat
        for kind, (sign, attribute) in signs.items()
        if isinstance(bound, kind)
    ]
    return " " + ", ".join(bounds) if bounds else ""


def _default(field: FieldInfo) -> str:
    if field.is_required():
        return "required"
    default = field.get_default(call_default_factory=True, validated_data={})
    if isinstance(default, BaseModel):
        return ""
    if isinstance(default, datetime):
        return f"`{default:%Y-%m-%d}`"
    return "null" if default is None else f"`{json.dumps(default)}`".replace('"', "")


if __name__ == "__main__":
    sys.stdout.write(reference() + "\n")
