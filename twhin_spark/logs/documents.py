r"""Splitting of whole files into rows that may have several lines: the records of CSV, and the documents of JSON.

Every byte of a file is in one of the rows, but for what separates them, so nothing is lost if a row is broken: the
parser gets each row by itself, and rejects it. For example, this JSON has four rows, of which the last two are broken:

    [{"id": 1}, {"id": 2}, {"id" 3}, {"id
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import pyarrow as pa

_ROWS_OF_BATCH = 4096
BYTE_ORDER_MARK = b"\xef\xbb\xbf"
_PARTNER = {b"}": b"{", b"]": b"["}
_COMMENTS = rb"|/\*(?s:.)*?\*/|//[^\r\n]*+"


@dataclass(frozen=True)
class CsvForm:
    r"""The form of CSV records. line_end: None for \n, \r\n and \r, also mixed; quote and comment may be empty."""

    separator: str = ","
    quote: str = '"'
    escape: str = '"'
    line_end: str | None = None
    comment: str = ""
    skips_spaces: bool = False  # before a quote

    def records(self, text: bytes) -> Iterator[bytes]:
        """Yield the records of a file, without line ends. A quote that is never closed does not go past its line."""
        text = text.removeprefix(BYTE_ORDER_MARK)
        end = rb"\r\n|\n|\r" if self.line_end is None else re.escape(self.line_end.encode())
        if not self.quote or self.quote.encode() not in text:
            yield from re.split(end, text)
            return
        record, line = self._pattern(end), re.compile(rb"(?:(?!" + end + rb")(?s:.))*+")
        line_end, comment = re.compile(end), self.comment.encode()
        position = 0
        while True:
            pattern = line if comment and text.startswith(comment, position) else record
            match = pattern.match(text, position)
            if match is None or (match.end() < len(text) and not line_end.match(text, match.end())):  # a broken quote
                match = line.match(text, position)
            assert match is not None  # a line may be empty
            yield match.group()
            if (found := line_end.match(text, match.end())) is None:
                return
            position = found.end()

    def _pattern(self, end: bytes) -> re.Pattern[bytes]:
        quote, escape, separator = (re.escape(sign.encode()) for sign in (self.quote, self.escape, self.separator))
        to_delimiter = rb"(?:(?!" + separator + rb"|" + end + rb")(?s:.))*+"
        inner = rb"[^" + quote + rb"]|" + quote * 2
        if self.escape and self.escape != self.quote:
            inner = rb"[^" + quote + escape + rb"]|" + escape + rb"(?s:.)"
        spaces = rb"[ \t]*+" if self.skips_spaces else b""
        closed = quote + rb"(?:" + inner + rb")*+" + quote + rb"[ \t]*+(?=" + separator + rb"|" + end + rb"|\Z)"
        stray = quote + rb"(?:(?!" + end + rb")(?:" + inner + rb"))*+" + quote + to_delimiter  # within one line
        quoted = spaces + rb"(?:" + closed + rb"|" + stray + rb")"
        plain = rb"(?!" + spaces + quote + rb")" + to_delimiter
        field = rb"(?:" + quoted + rb"|" + plain + rb")"
        return re.compile(field + rb"(?:" + separator + field + rb")*+")


def json_documents(text: bytes, *, single_quotes: bool = True, comments: bool = False) -> Iterator[bytes]:
    """Yield the documents of a JSON text: the elements of arrays, and the objects that stand by themselves.

    Parameters
    ----------
    text
        A file: an array, an object, or any number of them, one after the other.
    single_quotes, comments
        Whether the text may have strings in single quotes, and comments as in C.

    Yields
    ------
    bytes
        A document as it is written. Of an array that is never closed, the last one is what is left of it, or "[".
    """
    text = text.removeprefix(BYTE_ORDER_MARK)
    stack: list[bytes] = []
    begin = 0  # of the document
    in_array = False
    for token in _json_tokens(single_quotes, comments).finditer(text):
        sign = token.group()
        if sign in (b'"', b"'"):  # a string that is never closed
            break
        depth = len(stack) - in_array
        if sign in (b"{", b"["):
            if not stack:
                yield from _filled(text[begin : token.start()])
                begin, in_array = token.end() if sign == b"[" else token.start(), sign == b"["
            stack.append(sign)
        elif sign == b"," and in_array and depth == 0:
            yield from _filled(text[begin : token.start()])
            begin = token.end()
        elif (opening := _PARTNER.get(sign)) in stack:
            while stack.pop() != opening:
                pass
            if not stack:
                yield from _filled(text[begin : token.start() if in_array else token.end()])
                begin, in_array = token.end(), False
    rest = list(_filled(text[begin:]))
    yield from rest or ([b"["] if in_array else [])


def _json_tokens(single_quotes: bool, comments: bool) -> re.Pattern[bytes]:
    single = rb"|'(?:[^'\\]|\\(?s:.))*+'|'" if single_quotes else b""
    return re.compile(rb'"(?:[^"\\]|\\(?s:.))*+"|"' + single + (_COMMENTS if comments else b"") + rb"|[{}\[\],]")


def _filled(document: bytes) -> Iterator[bytes]:
    if document := document.strip():
        yield document


def split_files(
    batches: Iterator[pa.RecordBatch], *, splitter: Callable[[bytes], Iterator[bytes]], columns: Sequence[str]
) -> Iterator[pa.RecordBatch]:
    """Split whole files into rows, on a worker.

    columns: the names of the columns, of which the first is the text, and the rows of a file share the others.
    """
    for batch in batches:
        for file in zip(*batch.columns, strict=True):
            rows = []
            for row in splitter(file[0].as_py()):
                rows.append(row)
                if len(rows) == _ROWS_OF_BATCH:
                    yield _batch_of(rows, file[1:], columns)
                    rows = []
            yield _batch_of(rows, file[1:], columns)


def _batch_of(rows: Sequence[bytes], shared: Sequence[pa.Scalar], columns: Sequence[str]) -> pa.RecordBatch:
    arrays = [pa.array(rows, pa.binary()), *(pa.array([value.as_py()] * len(rows), value.type) for value in shared)]
    return pa.RecordBatch.from_arrays(arrays, list(columns))
