"""Reading of a configuration file. Every error names the option's dotted path and what is required of it."""

from __future__ import annotations

import difflib
import re
import types
from collections.abc import Iterable, Mapping, Sequence
from copy import deepcopy
from datetime import date
from pathlib import Path
from typing import Any, get_args, get_origin

import yaml
from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from twhin_spark.config.consistency import problems
from twhin_spark.config.sections import Config
from twhin_spark.config.yaml_text import parse_yaml, written
from twhin_spark.errors import ConfigError

# Words of YAML for those of pydantic.
_WORDS = {
    "string": "text",
    "list": "a list",
    "dictionary": "a section with keys",
    "integer": "an integer",
    "number": "a number",
}


def load_config(source: str | Path | Mapping[str, Any], overrides: Sequence[str] = ()) -> Config:
    """Read and validate a config.

    Parameters
    ----------
    source
        Path of a YAML file, or its content as a mapping.
    overrides
        Options to replace, each as "a.b=value", the value in YAML.

    Raises
    ------
    ConfigError
        The config is wrong; the message has one line for each problem.
    """
    path = "config" if isinstance(source, Mapping) else source
    node = None
    if isinstance(source, Mapping):
        document = deepcopy(dict(source))
    else:
        document, node = _parse(source)
    for override in overrides:
        _set(document, override)
    try:
        config = Config.model_validate(document)
    except ValidationError as error:
        raise ConfigError(_lines(path, [_explain(detail, node) for detail in error.errors()])) from None
    if lines := problems(config):
        raise ConfigError(_lines(path, lines))
    return config


def _parse(path: str | Path) -> tuple[dict[str, Any], yaml.Node | None]:
    try:
        text = Path(path).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "it is not UTF-8 text"
        raise ConfigError(f"{path}: cannot read the config: {reason}; --config takes a YAML file") from None
    try:
        document, node = parse_yaml(text)
    except yaml.MarkedYAMLError as error:
        where = f":{error.problem_mark.line + 1}" if error.problem_mark else ""
        raise ConfigError(f"{path}{where}: not valid YAML: {error.problem}") from None
    except yaml.YAMLError as error:
        raise ConfigError(f"{path}: not valid YAML: {' '.join(str(error).split())}") from None
    if not isinstance(document, dict):
        raise ConfigError(f"{path} holds {_shown(document)}, but must be a mapping with the keys {_key_list(Config)}")
    return document, node


def _set(document: dict[str, Any], override: str) -> None:
    """Apply `a.b=value` to the document. A number is a position in a list, as in `publishing.gates.0.beats=als`."""
    dotted, equals, value = override.partition("=")
    keys = dotted.split(".")
    if not equals or not all(keys):
        raise ConfigError(f"--set is '{override}', but must be a.b=value")
    parent: Any = document
    position: Any = None
    holder: Any = None
    for depth, key in enumerate(keys):
        path = ".".join(keys[:depth])
        if key == "0" and not isinstance(parent, (list, dict, type(None))):
            parent = holder[position] = [parent]  # one value stands for a list of one
        if isinstance(parent, list):
            if not (key.isdecimal() and int(key) < len(parent)):
                raise ConfigError(f"--set {dotted}: '{path}' is a list of {len(parent)}; use a number below that")
        elif not isinstance(parent, dict):
            raise ConfigError(f"--set {dotted}: '{path}' is {_shown(parent)}, but must be a section with keys")
        position = int(key) if isinstance(parent, list) else key
        holder = parent
        if depth < len(keys) - 1:
            parent = parent[position] if isinstance(parent, list) else parent.setdefault(position, {})
    try:
        parent[position], _ = parse_yaml(value, keys)
    except yaml.YAMLError:
        raise ConfigError(f"--set {dotted}: '{value}' is not valid YAML; quote the value") from None


def _explain(detail: ErrorDetails, node: yaml.Node | None) -> str:
    """Return one line for one of pydantic's errors."""
    location = [part for part in detail["loc"] if part != "[key]"]
    dotted = ".".join(str(part) for part in location)
    if detail["type"] == "extra_forbidden":
        section = _section_at(location[:-1])
        return f"{dotted} is no key{nearest(str(location[-1]), _keys(section))}; the keys are {_key_list(section)}"
    if detail["type"] == "missing":
        description = _section_at(location[:-1]).model_fields[str(location[-1])].description
        return f"{dotted} is required: {description}"
    required = re.sub(r"^(Input|Value|List|String|Dictionary) should (be )?|^Value error, ", "", detail["msg"])
    required = re.sub(r", unable to parse .*| after validation, not \d+", "", required)
    required = re.sub(r"^a valid (string|list|dictionary|integer|number)", lambda match: _WORDS[match[1]], required)
    if required.startswith("a section with keys or instance of"):
        required = f"a section with the keys {_key_list(_section_at(location))}"
    verb = "" if required.startswith(("match", "have")) else "be "
    line = f"{dotted} is {_shown(detail['input'])}, but must {verb}{required}"
    if detail["type"] == "string_type" and isinstance(detail["input"], (bool, int, float, date)):
        is_key = "[key]" in detail["loc"]
        text = written(node, location, key=is_key) or str(detail["input"])
        if is_key:
            parent = ".".join(str(part) for part in location[:-1])
            shown = text if isinstance(detail["input"], date) else _shown(detail["input"])
            line = f"{parent} has the key {shown}, but a key must be text"
        line += f"; YAML reads an unquoted {text} as {_yaml_word(detail['input'])}: write '{text}' in quotes"
    return line


def _yaml_word(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    return "a time" if isinstance(value, date) else f"the number {value}"


def nearest(word: str, words: Iterable[str]) -> str:
    """Return a hint at the most similar of the words, such as ` (did you mean 'dim'?)`, or an empty string."""
    close = difflib.get_close_matches(word, list(words), n=1, cutoff=0.5)
    return f" (did you mean '{close[0]}'?)" if close else ""


def _section_at(location: Sequence[str | int]) -> type[BaseModel]:
    """Return the class of the section at a dotted path of the config."""
    annotation: Any = Config
    for part in location:
        if isinstance(annotation, types.UnionType):  # a section or null
            annotation = get_args(annotation)[0]
        if isinstance(annotation, type) and issubclass(annotation, BaseModel):
            fields = {field.alias or name: field for name, field in annotation.model_fields.items()}
            annotation = fields[str(part)].annotation
        elif get_origin(annotation) in (dict, list):
            annotation = get_args(annotation)[-1]
    section: type[BaseModel] = get_args(annotation)[0] if isinstance(annotation, types.UnionType) else annotation
    return section


def _keys(model: type[BaseModel]) -> list[str]:
    return [field.alias or name for name, field in model.model_fields.items()]


def _key_list(model: type[BaseModel]) -> str:
    return ", ".join(_keys(model))


def _shown(value: Any) -> str:
    if value is None:
        return "nothing"
    text = " ".join(repr(value).split())
    return text if len(text) <= 80 else text[:77] + "..."


def _lines(path: str | Path, lines: Iterable[str]) -> str:
    return "\n".join(f"{path}: {line}" for line in lines)
