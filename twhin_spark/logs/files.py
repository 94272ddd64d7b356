r"""The files of a log: one rule for paths, on this machine and at any URI that Spark can list.

A path is a file, a folder or a glob, and is matched folder by folder from its root:

- A part that exists as it is written is that file or folder, whatever signs its name has: `raw [2026]` is a folder.
- Else `*` is any run of characters, `?` one character, `[abc]`, `[a-z]` and `[!a]` one of a set, `{a,b}` one of some
  words, and `**` any number of folders, none included.
- A folder is read whole, with its subfolders.
- A name that begins with `_` or a dot is hidden: it is left out of folders and globs, and counted. A part of the path
  that begins so itself names it. A folder such as `_day=1` is not hidden.
- An empty file is left out and counted. A file that several paths lead to by links is read once.
- Folders `name=value` give a column `name`, whose value is text as it is written: those below `options.basePath`, by
  default those from the first glob sign on or below the path. Names that differ by case are one column. If the files
  have a column of the name, it is theirs, as it says more than the folder.

For example, `logs/**/*.csv` reads `logs/a.csv` and `logs/2026/05/b.csv`, but not `logs/_tmp/c.csv`, and `logs/dt=*/`
reads `logs/dt=01/a.csv` with the column dt = '01'.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from fnmatch import fnmatchcase
from pathlib import Path
from urllib.parse import unquote_to_bytes

from twhin_spark.config.base import expanded
from twhin_spark.config.sections import LogConfig
from twhin_spark.errors import InputError
from twhin_spark.locations import absolute, is_uri
from twhin_spark.logs.glob_patterns import expand_braces, glob_regex, is_glob
from twhin_spark.logs.listing import Entry, Lister, LocalLister, is_hidden

_NULL_FOLDER = "__HIVE_DEFAULT_PARTITION__"


@dataclass(frozen=True)
class LogFile:
    """A file that is read. folder_values: by column, None for Hive's folder of nulls. size: its bytes."""

    location: str
    folder_values: dict[str, str | None] = field(default_factory=dict)
    size: int = 0


@dataclass(frozen=True)
class LogFiles:
    """The files of a log that are read, and the locations that are left out."""

    read: tuple[LogFile, ...] = ()
    hidden: tuple[str, ...] = ()
    empty: tuple[str, ...] = ()
    linked: tuple[str, ...] = ()  # other paths, by links, of files that are read
    shadowed: tuple[str, ...] = ()  # names of folders' columns that the files have themselves

    @property
    def locations(self) -> list[str]:
        return [file.location for file in self.read]

    @property
    def folder_columns(self) -> list[str]:
        """Return the names of the columns that folders give, in the order of the folders."""
        return list(dict.fromkeys(name for file in self.read for name in file.folder_values))

    def besides(self, columns: Iterable[str]) -> LogFiles:
        """Return the files without the columns of folders that are among the files' own columns."""
        own = {column.lower() for column in columns}
        shadowed = [name for name in self.folder_columns if name.lower() in own]
        if not shadowed:
            return self
        read = [
            replace(file, folder_values={n: v for n, v in file.folder_values.items() if n not in shadowed})
            for file in self.read
        ]
        return replace(self, read=tuple(read), shadowed=(*self.shadowed, *shadowed))

    def counts(self) -> dict[str, int]:
        return {"read": len(self.read), "hidden": len(self.hidden), "empty": len(self.empty)}


class NoFileError(Exception):
    """A path matches no file. The message is the path."""


class BasePathError(Exception):
    """No file lies below the base path. The message is what it must be."""


class TableError(Exception):
    """Files are those of a table, among them some that no longer belong to it. The message is the table's folder."""


def log_files(name: str, log: LogConfig, uri_lister: Lister | None) -> LogFiles:
    """Find the files of a log.

    Parameters
    ----------
    name
        Name of the log.
    log
        Its section of the config.
    uri_lister
        Lister of URIs; None leaves URIs out.

    Raises
    ------
    InputError
        A path matches no file.
    """
    options = {option.lower(): str(value) for option, value in log.options.items()}
    name_glob, base_path = options.get("pathglobfilter"), options.get("basepath")

    def lister_of(location: str) -> Lister:
        return uri_lister if is_uri(location) and uri_lister is not None else LocalLister()

    try:
        return find_files(
            [path for path in log.path if uri_lister is not None or not is_uri(local_path(path))],
            lister_of,
            base_path=None if base_path is None else expanded(base_path),
            name_glob=name_glob,
        )
    except BasePathError as error:
        raise InputError(f"logs.{name}.options.basePath is '{base_path}', but must be {error}") from None
    except NoFileError as error:
        named = "" if name_glob is None else f" with a name such as {name_glob} (options.pathGlobFilter)"
        raise InputError(
            f"logs.{name}.path: no file{named} is at '{error}' (seen from {Path.cwd()}); give a file, a folder with "
            "files, a glob or a URI, and spell out names that begin with _ or a dot"
        ) from None
    except TableError as error:
        raise InputError(
            f"logs.{name}.path: {error} is a Delta table, whose files also hold rows that were deleted or replaced; "
            f"set logs.{name}.format: delta, and the path to this folder"
        ) from None


def find_files(
    paths: Iterable[str],
    lister_of: Callable[[str], Lister],
    *,
    base_path: str | None = None,
    name_glob: str | None = None,
) -> LogFiles:
    """Find the files of some paths.

    Parameters
    ----------
    paths
        Local paths and URIs, as in a config.
    lister_of
        Function from a location to the lister of its file system.
    base_path
        Folder below which folders `name=value` give columns; None: below the path, or from its first glob sign on.
    name_glob
        Glob that the names of files must match; None: all.

    Raises
    ------
    NoFileError
        A path matches no file, hidden and empty ones included.
    TableError
        A file lies in the folder of a Delta table.
    BasePathError
        No file lies below the base path.
    """
    read: dict[str, LogFile] = {}
    hidden: dict[str, None] = {}
    empty: dict[str, None] = {}
    is_below_base = base_path is None
    spellings: dict[str, str] = {}  # of the folders' columns, by their names in lower case
    for path in paths:
        location = local_path(path)
        search = _Search(lister_of(location), name_glob)
        matches = [match for pattern in search.patterns(location) for match in search.match(pattern)]
        if not matches:
            raise NoFileError(path)
        if (table := _table_of(matches, lister_of(location))) is not None:
            raise TableError(table)
        base = None if base_path is None else _Pattern.of(local_path(base_path)).root_and_parts()
        for match in matches:
            if match.size == 0:
                empty[match.location] = None
            else:
                values = match.folder_values(base)
                spelled = {spellings.setdefault(name.lower(), name): value for name, value in values.items()}
                read[match.location] = LogFile(match.location, spelled, match.size)
            is_below_base = is_below_base or match.is_below(base)
        hidden.update(dict.fromkeys(search.hidden))
    if read and not is_below_base:
        raise BasePathError(f"a folder above the files of the log, such as {next(iter(read))}")
    linked = _other_paths(read)
    return LogFiles(
        tuple(file for location, file in read.items() if location not in linked),
        tuple(name for name in hidden if name not in read),
        tuple(empty),
        tuple(linked),
    )


def _other_paths(locations: Iterable[str]) -> dict[str, None]:
    """Return those of some locations that lead by links to the same file as another one, which is best without any."""
    by_file: dict[str, list[str]] = {}
    for location in locations:
        by_file.setdefault(location if is_uri(location) else os.path.realpath(location), []).append(location)
    return dict.fromkeys(
        location
        for file, same in by_file.items()
        for location in same
        if location != (file if file in same else same[0])
    )


def local_path(path: str) -> str:
    """Return a URI unchanged, and a path of this machine, also one with the scheme `file`, made absolute."""
    if match := re.match(r"file:(?://)?(?=/)", path):
        path = path[match.end() :]
    return path if is_uri(path) else absolute(path)


def spark_path(location: str) -> str:
    """Return a location as Spark reads it: on this machine, even if Spark's default file system is another."""
    return location if is_uri(location) else f"file:{location}"


@dataclass(frozen=True)
class _Match:
    """A file that was found. parts: names from the root; fixed: how many of them the path spells out."""

    root: str
    parts: tuple[str, ...]
    fixed: int
    size: int

    @property
    def location(self) -> str:
        return _join(self.root, self.parts)

    def is_below(self, base: tuple[str, tuple[str, ...]] | None) -> bool:
        return base is None or (self.root == base[0] and self.parts[: len(base[1])] == base[1])

    def folder_values(self, base: tuple[str, tuple[str, ...]] | None) -> dict[str, str | None]:
        first = self.fixed
        if base is not None:
            first = len(base[1]) if self.is_below(base) else len(self.parts)
        values: dict[str, str | None] = {}
        for part in self.parts[first:-1]:
            name, equals, value = part.partition("=")
            if name and equals:
                values[_decoded(name)] = None if value == _NULL_FOLDER else _decoded(value)
        return values


def _table_of(matches: Iterable[_Match], lister: Lister) -> str | None:
    """Return the folder of a Delta table in which one of the files lies, or None."""
    folders = {(match.root, match.parts[:depth]) for match in matches for depth in range(len(match.parts))}
    logs = ((_join(root, folder), _join(root, (*folder, "_delta_log"))) for root, folder in sorted(folders))
    return next((folder for folder, log in logs if (entry := lister.find(log)) is not None and entry.is_folder), None)


@dataclass(frozen=True)
class _Pattern:
    root: str  # "/", or the scheme and authority of a URI
    parts: tuple[str, ...]

    @classmethod
    def of(cls, location: str) -> _Pattern:
        if is_uri(location):
            scheme, _, rest = location.partition("://")
            authority, _, rest = rest.partition("/")
            return cls(f"{scheme}://{authority}/", _parts(rest))
        return cls("/", _parts(location))

    def root_and_parts(self) -> tuple[str, tuple[str, ...]]:
        return self.root, self.parts


def _decoded(text: str) -> str:
    """Replace %XX in the name of a folder, as Hive writes it, unless this gives no UTF-8: then it is text."""
    try:
        return unquote_to_bytes(text).decode()
    except UnicodeError:
        return text.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")


def _parts(path: str) -> tuple[str, ...]:
    parts: list[str] = []
    for part in path.split("/"):
        if part == ".." and parts and parts[-1] != ".." and not is_glob(parts[-1]):
            parts.pop()
        elif part not in ("", "."):
            parts.append(part)
    return tuple(parts)


def _join(root: str, parts: Sequence[str]) -> str:
    return root + "/".join(parts)


class _Search:
    """The search for the matches of a path in one file system."""

    def __init__(self, lister: Lister, name_glob: str | None) -> None:
        self._lister = lister
        self._name_glob = name_glob
        self.hidden: list[str] = []

    def patterns(self, location: str) -> list[_Pattern]:
        """Return the path itself if its first part with a `{` exists so, else a path for each choice of words."""
        pattern = _Pattern.of(location)
        first = next((i for i, part in enumerate(pattern.parts) if "{" in part), None)
        if first is None or any(True for _ in self._walk(pattern.root, (), pattern.parts[: first + 1], [])):
            return [pattern]
        return [_Pattern.of(spelled) for spelled in expand_braces(location)]

    def match(self, pattern: _Pattern) -> Iterator[_Match]:
        fixed = next((i for i, part in enumerate(pattern.parts) if self._is_open(pattern, i)), len(pattern.parts))
        seen: set[tuple[str, ...]] = set()
        for parts, entry in self._walk(pattern.root, (), pattern.parts, self.hidden):
            for file_parts, size in self._files(pattern.root, parts, entry):
                if file_parts not in seen:
                    seen.add(file_parts)
                    yield _Match(pattern.root, file_parts, min(fixed, len(parts)), size)

    def _is_open(self, pattern: _Pattern, index: int) -> bool:
        """Return True if a part is a glob, and does not exist as it is written."""
        before = pattern.parts[: index + 1]
        return is_glob(pattern.parts[index]) and self._lister.find(_join(pattern.root, before)) is None

    def _walk(
        self, root: str, before: tuple[str, ...], rest: tuple[str, ...], hidden: list[str]
    ) -> Iterator[tuple[tuple[str, ...], Entry]]:
        """Yield the files and folders that match the rest of a pattern in the folder `before`."""
        if not rest:
            if (entry := self._lister.find(_join(root, before))) is not None:
                yield before, entry
            return
        part, after = rest[0], rest[1:]
        exact = (*before, part)
        if not is_glob(part) or self._lister.find(_join(root, exact)) is not None:
            yield from self._walk(root, exact, after, hidden)
            return
        folder = self._lister.find(_join(root, before))
        if folder is None or not folder.is_folder:
            return
        if part == "**":
            if after:
                yield from self._walk(root, before, after, hidden)
            for entry in self._visible(root, before, hidden, part):
                inner = (*before, entry.name)
                if entry.is_folder:
                    if not self._is_loop(root, inner):
                        yield from self._walk(root, inner, rest, hidden)
                elif not after:
                    yield inner, entry
            return
        regex = glob_regex(part)
        for entry in self._visible(root, before, hidden, part, regex):
            if after and not entry.is_folder:
                continue
            yield from self._walk(root, (*before, entry.name), after, hidden)

    def _files(self, root: str, parts: tuple[str, ...], entry: Entry) -> Iterator[tuple[tuple[str, ...], int]]:
        """Yield the files of a match: itself, or those in the folder and in its subfolders."""
        if not entry.is_folder:
            if self._name_glob is None or any(fnmatchcase(entry.name, glob) for glob in expand_braces(self._name_glob)):
                yield parts, entry.size
            return
        for inner in self._visible(root, parts, self.hidden, "*"):
            inner_parts = (*parts, inner.name)
            if not (inner.is_folder and self._is_loop(root, inner_parts)):
                yield from self._files(root, inner_parts, inner)

    def _visible(
        self, root: str, folder: tuple[str, ...], hidden: list[str], part: str, regex: re.Pattern[str] | None = None
    ) -> Iterator[Entry]:
        """Yield what lies in a folder and is not hidden, or is hidden and named so by the part of the path."""
        for entry in self._lister.list(_join(root, folder)):
            if regex is not None and not regex.fullmatch(entry.name):
                continue
            if is_hidden(entry.name) and not is_hidden(part):
                hidden.append(_join(root, (*folder, entry.name)))
            else:
                yield entry

    def _is_loop(self, root: str, parts: tuple[str, ...]) -> bool:
        """Return True if a folder of this machine is a link to one that it lies in."""
        if root != "/":
            return False
        folder = Path(_join(root, parts))
        return folder.is_symlink() and folder.resolve() in folder.parent.resolve().joinpath("x").parents
