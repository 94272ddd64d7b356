"""Glob signs of one part of a path, and braces, which stand for several paths."""

from __future__ import annotations

import itertools
import re

_SIGNS = re.compile(r"[*?\[{]")


def is_glob(path: str) -> bool:
    return _SIGNS.search(path) is not None


def glob_regex(part: str) -> re.Pattern[str]:
    r"""Return the regular expression of one part of a path. A backslash makes the sign behind it an ordinary one."""
    result, i = "", 0
    while i < len(part):
        sign = part[i]
        closing = part.find("]", i + 2) if sign == "[" else -1
        if sign == "*":
            result += ".*"
        elif sign == "?":
            result += "."
        elif closing > 0:
            inner = part[i + 1 : closing]
            negated = inner[0] in "!^"
            inner = re.sub(r"([\\\[\]&~|^])", r"\\\1", inner[1:] if negated else inner)
            result += f"[{'^' if negated else ''}{inner}]"
            i = closing
        elif sign == "\\" and i + 1 < len(part):
            i += 1
            result += re.escape(part[i])
        else:
            result += re.escape(sign)
        i += 1
    return re.compile(result, re.DOTALL)


def expand_braces(path: str) -> list[str]:
    """Return a path for each choice of words in braces: `{a,b}/c` is `a/c` and `b/c`. Braces may be nested."""
    begin = path.find("{")
    if begin < 0:
        return [path]
    depth, cuts = 0, [begin]
    for i in range(begin, len(path)):
        if path[i] == "{":
            depth += 1
        elif path[i] == "}":
            depth -= 1
            if depth == 0:
                cuts.append(i)
                break
        elif path[i] == "," and depth == 1:
            cuts.append(i)
    if depth:
        return [path]  # never closed: an ordinary sign
    words = [path[first + 1 : last] for first, last in itertools.pairwise(cuts)]
    rest = expand_braces(path[cuts[-1] + 1 :])
    spelled = [word for inner in words for word in expand_braces(inner)]
    return list(dict.fromkeys(path[:begin] + word + tail for word in spelled for tail in rest))
