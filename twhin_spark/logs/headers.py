"""First lines of CSV files, and the columns that their headers name.

Columns are found by name, whatever the quotes, case and spaces of a header, and in whatever order a file has them; what
a file does not have is null there. For example, a log of two files with these headers has the columns user_id, item_id,
at and device, and device is null in all rows of the first file:

    user_id,item_id,at
    "at","User_id","item_id","device"

A file whose first line shares fewer than half of the names has another header, or none, and is refused.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from pyspark.sql import SparkSession
from pyspark.sql.types import StringType, StructField, StructType

from twhin_spark.config.sections import LogConfig
from twhin_spark.errors import InputError
from twhin_spark.logs.documents import BYTE_ORDER_MARK
from twhin_spark.logs.file_heads import FileHeads, in_threads, other_format
from twhin_spark.logs.files import LogFiles
from twhin_spark.logs.raw_log import MOST_FIELDS, REPLACEMENT, encoding_of, is_true, is_wide, options_of, separator_of

_HEAD_BYTES = 1 << 16
_MOST_BYTES = 1 << 24  # a first line that is longer is read up to here
_SHOWN = 200


@dataclass(frozen=True)
class HeadedFiles:
    """Files with the same columns in the same order.

    headers: the lines with which they begin, none without headers. columns: the fields of their rows, in order.
    """

    locations: tuple[str, ...]
    headers: tuple[str, ...]
    columns: StructType


def headed_files(
    spark: SparkSession, name: str, log: LogConfig, files: LogFiles, declared: StructType | None
) -> list[HeadedFiles]:
    """Group the files of a CSV log by the columns that their headers name.

    Parameters
    ----------
    spark
        The session, whose file systems and codecs are used.
    name
        Name of the log.
    log, files
        Its section of the config, and its files.
    declared
        Names and types of the columns that the config gives. Without headers they are those of the fields by position.
        If the first header has the same names, it has them in its own order; other names stand for its columns by
        position.

    Raises
    ------
    InputError
        The header of a file is another one than that of the first file, or is not text.
    """
    if not is_true(log, "header"):
        if declared is None:
            first = next(_first_lines(spark, name, log, files.locations), None)
            declared = _as_text([] if first is None else _names(spark, log, first[1]))
        return [HeadedFiles(tuple(files.locations), (), declared)]
    heads = _first_lines(spark, name, log, files.locations)
    columns: _Columns | None = None
    by_header: dict[str, StructType] = {}
    groups: dict[str, list[tuple[str, str]]] = {}  # by the names of the columns
    for location, header in heads:
        if header not in by_header:
            names = _names(spark, log, header)
            columns = columns or _Columns.of(name, names, declared)
            by_header[header] = columns.fields_of(location, header, names)
        groups.setdefault(by_header[header].json(), []).append((location, header))
    result = [
        HeadedFiles(
            tuple(location for location, _ in members),
            tuple(dict.fromkeys(header for _, header in members)),
            by_header[members[0][1]],
        )
        for members in groups.values()
    ]
    return result or [HeadedFiles(tuple(files.locations), (), declared or StructType())]


class _Columns:
    """The columns of a log by the words of its headers."""

    def __init__(self, log: str, first: Sequence[str], fields: dict[str, StructField]) -> None:
        self._log, self._first = log, _words(first)
        self._by_word = {**dict(zip(self._first, _as_text(first).fields, strict=True)), **fields}

    @classmethod
    def of(cls, log: str, first: Sequence[str], declared: StructType | None) -> _Columns:
        """Return the columns of the first header with the declared names and types.

        Where the header names declared columns in their places, the other declared names stand for its other columns
        by position: `id STRING, n INT` makes of the header `id,count` the columns id and n. Else the columns are found
        by name, which requires that the header names all declared columns, or that it names no others.
        """
        if declared is None:
            return cls(log, first, {})
        words, names = _words(first), _words(declared.names)
        shared = set(words) & set(names)
        if all(words.index(word) == names.index(word) for word in shared):
            return cls(log, first, dict(zip([*words, *names[len(words) :]], declared.fields, strict=False)))
        if shared in (set(words), set(names)):
            return cls(log, first, dict(zip(names, declared.fields, strict=True)))
        moved = next(word for word in words if word in shared and words.index(word) != names.index(word))
        raise InputError(
            f"logs.{log}.columns names {', '.join(declared.names)}, but the header names {', '.join(first)}, where "
            f"'{moved}' has another place; name all columns of the header, or give others names by position"
        )

    def fields_of(self, location: str, header: str, names: Sequence[str]) -> StructType:
        """Return the fields of the rows of a file with this header, in its order."""
        words = _words(names)
        if 2 * len(set(words) & set(self._first)) < max(len(words), len(self._first)):
            raise InputError(
                f"logs.{self._log}.path: {location} begins with '{header[:_SHOWN]}', which is not the header of the "
                "other files; give files with other columns a log of their own, or set options.header: false"
            )
        for word, name in zip(words, names, strict=True):
            self._by_word.setdefault(word, StructField(name, StringType()))
        return StructType([self._by_word[word] for word in words])


def _as_text(names: Sequence[str]) -> StructType:
    return StructType([StructField(name, StringType()) for name in names])


def _words(names: Sequence[str]) -> list[str]:
    """Return the names without case and spaces, as long as this leaves them distinct."""
    words = [name.strip("\ufeff \t").lower() for name in names]
    return words if len(set(words)) == len(words) else list(names)


def _names(spark: SparkSession, log: LogConfig, first: str) -> list[str]:
    """Return the names that Spark gives the columns of a file with this first line."""
    options = {name: text for name, text in options_of(log).items() if name not in ("encoding", "charset", "comment")}
    options["maxColumns"] = str(MOST_FIELDS)
    return spark.read.options(**options).csv(spark.createDataFrame([(first,)], "value STRING")).columns


def _first_lines(spark: SparkSession, name: str, log: LogConfig, locations: Sequence[str]) -> Iterator[tuple[str, str]]:
    """Yield each file that has a line with content, and the first one."""
    finder = _FirstLine(FileHeads(spark, name), name, log)
    return ((location, line) for location, line in in_threads(finder.of, locations) if line is not None)


class _FirstLine:
    """Finder of the first line of a file that is no comment and not blank."""

    def __init__(self, heads: FileHeads, name: str, log: LogConfig) -> None:
        self._heads, self._name = heads, name
        self._encoding = encoding_of(log)
        self._options = options_of(log)
        self._is_multiline = is_true(log, "multiline")

    def of(self, location: str) -> str | None:
        size = _HEAD_BYTES
        while True:
            head = self._heads.read(location, size, unpacked=True)
            whole = len(head) < size or size >= _MOST_BYTES
            lines = self._lines(head)
            if whole or len(lines) > 1:
                line = next((line for line in (lines if whole else lines[:-1]) if self._is_filled(line)), None)
                if line is not None or whole:
                    return line if line is None else self._checked(location, line, head)
            size *= 16

    def _lines(self, head: bytes) -> list[str]:
        if not is_wide(self._encoding):
            head = head.removeprefix(BYTE_ORDER_MARK)
        text = head.decode(errors="replace") if self._encoding is None else self._decode(head)
        text = text.removeprefix("\ufeff")
        if (separator := self._options.get("linesep")) is not None:
            return text.split(separator)
        lines = text.replace("\r\n", "\n").replace("\r", "\n").split("\n")
        return _joined(lines, self._options.get("quote", '"')) if self._is_multiline else lines

    def _decode(self, head: bytes) -> str:
        return str(self._heads.jvm.java.lang.String(head, self._encoding))

    def _is_filled(self, line: str) -> bool:
        comment = self._options.get("comment")
        is_separator = line == f"sep={separator_of(self._options)}"  # for Excel
        return bool(line.strip(" ")) and not is_separator and not (comment and line.startswith(comment))

    def _checked(self, location: str, line: str, head: bytes) -> str:
        if (advice := other_format(head)) is not None:
            raise InputError(f"logs.{self._name}.path: {location} is {advice}")
        if is_wide(self._encoding) and _is_swapped(line):
            raise InputError(
                f"logs.{self._name}.path: the bytes of {location} have the other order than options.encoding, "
                f"{self._encoding}, gives them; set it to UTF-16LE or UTF-16BE (UTF-32LE or UTF-32BE)"
            )
        if REPLACEMENT in line:
            raise InputError(
                f"logs.{self._name}.path: the first line of {location} is not text in {self._encoding or 'UTF-8'}; set "
                "options.encoding to the encoding of the file, such as UTF-16 or ISO-8859-1"
            )
        return line


def _is_swapped(line: str) -> bool:
    """Return True for a line of ASCII whose bytes were read in the wrong order: `a` as U+6100."""
    return 2 * sum(ord(sign) > 0xFF and ord(sign) & 0xFF == 0 for sign in line) > len(line)


def _joined(lines: list[str], quote: str) -> list[str]:
    """Join the lines of a header whose quoted names go over several lines."""
    result: list[str] = []
    for line in lines:
        if result and quote and result[-1].count(quote) % 2:
            result[-1] += f"\n{line}"
        else:
            result.append(line)
    return result
