"""Reading of YAML, and the text that a value had in it.

The options of a log's reader stay as they are written: `nullValue: NO` is the text NO, although YAML reads it as false,
and `010` is not 8. Only options that are true or false are read as such.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import yaml

_STRING = "tag:yaml.org,2002:str"
_MERGE = "tag:yaml.org,2002:merge"
# Options of Spark's readers that are true or false, in lower case.
_BOOLEAN_OPTIONS = (
    "allowbackslashescapinganycharacter allowcomments allownonnumericnumbers allownumericleadingzeros "
    "allowsinglequotes allowunquotedcontrolchars allowunquotedfieldnames columnpruning dropfieldifallnull "
    "enabledatetimeparsingfallback enforceschema header ignorecorruptfiles ignoreleadingwhitespace "
    "ignoremissingfiles ignoretrailingwhitespace inferschema mergeschema multiline preferdate prefersdecimal "
    "primitivesasstring recursivefilelookup wholetext"
)


class Loader(yaml.SafeLoader):
    """SafeLoader that refuses a key that is given twice; YAML would silently keep the last."""

    def compose_mapping_node(self, anchor: Any) -> yaml.MappingNode:
        node = super().compose_mapping_node(anchor)
        keys: set[str] = set()
        for key, _ in node.value:
            if isinstance(key, yaml.ScalarNode) and key.tag != _MERGE:
                if key.value in keys:
                    raise yaml.MarkedYAMLError(problem=f"key '{key.value}' is given twice", problem_mark=key.start_mark)
                keys.add(key.value)
        return node

    def construct_object(self, node: yaml.Node, deep: bool = False) -> Any:
        """Return the value of a node; a value such as 2026-13-45 is an error with its place."""
        try:
            return super().construct_object(node, deep=deep)
        except (ValueError, OverflowError) as error:
            text = node.value if isinstance(node, yaml.ScalarNode) else "a value"
            problem = f"'{text}' is no {node.tag.rpartition(':')[2]} ({error}); write text in quotes"
            raise yaml.MarkedYAMLError(problem=problem, problem_mark=node.start_mark) from None


def parse_yaml(text: str, path: Sequence[str] = ()) -> tuple[Any, yaml.Node | None]:
    """Return the value of a YAML text and its node. path: the keys of the config under which the text stands."""
    loader = Loader(text)
    try:
        node = loader.get_single_node()
        if node is None:
            return None, None
        _keep_option_text(node, tuple(path))
        return loader.construct_document(node), node
    except RecursionError:
        raise yaml.YAMLError("its lists and sections lie too deep in each other") from None
    finally:
        loader.dispose()


def written(node: yaml.Node | None, location: Sequence[str | int], *, key: bool = False) -> str | None:
    """Return the text of the value, or of the key, at a location, None if it is not found."""
    name = None
    for part in location:
        if isinstance(node, yaml.MappingNode):
            pairs = [pair for pair in node.value if (value := _value_of(pair[0])) == part or str(value) == str(part)]
            if not pairs:
                return None
            name, node = pairs[0]
        elif isinstance(node, yaml.SequenceNode) and isinstance(part, int) and part < len(node.value):
            node = node.value[part]
        else:
            return None
    scalar = name if key else node
    return scalar.value if isinstance(scalar, yaml.ScalarNode) else None


def _value_of(node: yaml.Node) -> Any:
    return Loader("").construct_object(node) if isinstance(node, yaml.ScalarNode) and node.tag != _MERGE else None


def _keep_option_text(node: yaml.Node, path: tuple[str, ...]) -> None:
    """Make the scalars at logs.NAME.options.OPTION text."""
    if any(part != wanted for part, wanted in zip(path, ("logs", path[1:2] and path[1], "options"), strict=False)):
        return
    if isinstance(node, yaml.ScalarNode) and len(path) == 4 and path[3].lower() not in _BOOLEAN_OPTIONS.split():
        node.tag = _STRING
    if isinstance(node, yaml.MappingNode) and len(path) < 4:
        for key, value in node.value:
            if isinstance(key, yaml.ScalarNode):
                _keep_option_text(value, (*path, key.value))
