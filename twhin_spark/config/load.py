"""Reads a configuration file; every error names the dotted path, what was found and what is allowed."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Mapping, Sequence
from copy import deepcopy
from pathlib import Path
from typing import Any, get_args, get_origin

import yaml
from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from twhin_spark.config.consistency import problems
from twhin_spark.config.sections import Config
from twhin_spark.errors import ConfigError


class _UniqueKeyLoader(yaml.SafeLoader):
    """SafeLoader that refuses a key given twice, where YAML would silently keep the last."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        seen: set[Any] = set()
        for key_node, _ in node.value:
            key = self.construct_object(key_node, deep=True)
            if key in seen:
                raise yaml.MarkedYAMLError(problem=f"key '{key}' is given twice", problem_mark=key_node.start_mark)
            seen.add(key)
        return super().construct_mapping(node, deep)


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
    document = deepcopy(dict(source)) if isinstance(source, Mapping) else _parse(source)
    for override in overrides:
        _set(document, override)
    try:
        config = Config.model_validate(document)
    except ValidationError as error:
        raise ConfigError(_lines(path, [_explain(detail) for detail in error.errors()])) from None
    if found := problems(config):
        raise ConfigError(_lines(path, found))
    return config


def _parse(path: str | Path) -> dict[str, Any]:
    try:
        text = Path(path).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "it is not UTF-8 text"
        raise ConfigError(f"{path}: cannot read the config: {reason}; --config takes a YAML file") from None
    try:
        document = yaml.load(text, _UniqueKeyLoader)
    except yaml.MarkedYAMLError as error:
        where = f":{error.problem_mark.line + 1}" if error.problem_mark else ""
        raise ConfigError(f"{path}{where}: not valid YAML: {error.problem}") from None
    except yaml.YAMLError as error:
        raise ConfigError(f"{path}: not valid YAML: {' '.join(str(error).split())}") from None
    if not isinstance(document, dict):
        raise ConfigError(f"{path}: found {_shown(document)}; allowed: a mapping with the keys {_known(Config)}")
    return document


def _set(document: dict[str, Any], override: str) -> None:
    dotted, equals, value = override.partition("=")
    keys = dotted.split(".")
    if not equals or not all(keys):
        raise ConfigError(f"--set: found '{override}'; allowed: a.b=value")
    place: Any = document
    for depth, key in enumerate(keys[:-1]):
        place = place.setdefault(key, {})
        if not isinstance(place, dict):
            raise ConfigError(
                f"--set {dotted}: '{'.'.join(keys[: depth + 1])}' is {_shown(place)}; allowed: a section with keys"
            )
    try:
        place[keys[-1]] = yaml.load(value, _UniqueKeyLoader)
    except yaml.YAMLError:
        raise ConfigError(f"--set {dotted}: found '{value}'; allowed: a value in YAML") from None


def _explain(detail: ErrorDetails) -> str:
    """One line for one of pydantic's errors."""
    location = [part for part in detail["loc"] if part != "[key]"]
    dotted = ".".join(str(part) for part in location)
    if detail["type"] == "extra_forbidden":
        model = _model_at(location[:-1])
        return f"{dotted}: unknown key{nearest(str(location[-1]), _keys(model))}; allowed: {_known(model)}"
    if detail["type"] == "missing":
        help_line = _model_at(location[:-1]).model_fields[str(location[-1])].description
        return f"{dotted}: found nothing; this key is required: {help_line}"
    allowed = re.sub(r"^(Input|Value|List|String) should (be )?", "", detail["msg"])
    if allowed.startswith("a valid dictionary or instance of"):
        allowed = f"a section with the keys {_known(_model_at(location))}"
    return f"{dotted}: found {_shown(detail['input'])}; allowed: {allowed}"


def nearest(word: str, known: Iterable[str]) -> str:
    """A hint at the nearest of the known words, as in `(did you mean 'dim'?)`, or an empty string."""
    close = difflib.get_close_matches(word, list(known), n=1, cutoff=0.5)
    return f" (did you mean '{close[0]}'?)" if close else ""


def _model_at(location: Sequence[str | int]) -> type[BaseModel]:
    """The section class at a dotted path of the config."""
    annotation: Any = Config
    for part in location:
        if isinstance(annotation, type) and issubclass(annotation, BaseModel):
            fields = {field.alias or name: field for name, field in annotation.model_fields.items()}
            annotation = fields[str(part)].annotation
        elif get_origin(annotation) in (dict, list):
            annotation = get_args(annotation)[-1]
    section: type[BaseModel] = annotation
    return section


def _keys(model: type[BaseModel]) -> list[str]:
    return [field.alias or name for name, field in model.model_fields.items()]


def _known(model: type[BaseModel]) -> str:
    return ", ".join(_keys(model))


def _shown(value: Any) -> str:
    if value is None:
        return "nothing"
    text = " ".join(repr(value).split())
    return text if len(text) <= 80 else text[:77] + "..."


def _lines(path: str | Path, found: Iterable[str]) -> str:
    return "\n".join(f"{path}: {line}" for line in found)
