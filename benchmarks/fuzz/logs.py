"""Logs on disk with a config, and what the generator knows of them."""

from __future__ import annotations

import bz2
import gzip
import re
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import yaml
from deltalake import write_deltalake

from benchmarks.fuzz.lines import NAMES, broken_lines, csv_line, json_line, text_of
from benchmarks.fuzz.rows import Row, draw_rows

FORMATS = ("csv", "json", "text", "parquet", "delta")
_FOLDERS = ("plain", "with space", "ünï", "a[1]b", "q?m", "st*r", "{x,y}", "%41", "pa#rt", "semi;colon", "dt=20260501")
_BREAKING_SHARE = 0.25  # of the logs have a fault in a file or in the config


@dataclass(frozen=True)
class FuzzLog:
    """A log and what is true of it.

    Attributes
    ----------
    config
        The config's file.
    rows
        How many rows must be accounted for.
    pairs
        How often each pair of ids may become an event.
    sound
        The pairs that must.
    must_read
        Whether a refusal is a failure: the faults lie in rows and values alone.
    about
        A line that says what was made.
    """

    config: Path
    rows: int
    pairs: Counter[tuple[str, str]]
    sound: set[tuple[str, str]]
    must_read: bool
    about: str


@dataclass
class _Draft:
    """A log that is being made."""

    rng: np.random.Generator
    folder: Path
    format: str
    rows: list[Row]
    log: dict[str, Any]
    about: list[str]
    other_rows: int = 0  # lines that are no rows of the format
    line_rows: int = 0  # lines, if each is a row
    must_read: bool = True

    @property
    def suffix(self) -> str:
        return {"text": "txt"}.get(self.format, self.format)


def make_log(seed: int, folder: Path) -> FuzzLog:
    """Write the log of a seed into an empty folder."""
    rng = np.random.default_rng(seed)
    log_format = FORMATS[seed % len(FORMATS)]
    rows = draw_rows(rng, as_text=log_format in ("csv", "json", "text"))
    inner = folder / str(rng.choice(_FOLDERS)) if rng.random() < 0.5 else folder / "log"
    inner.mkdir(parents=True)
    select = {name: name for name in NAMES if name not in ("at",)} | {"timestamp": "at"}
    log = {"path": str(inner), "format": log_format, "select": select}
    draft = _Draft(rng, inner, log_format, rows, log, [log_format, inner.name])
    (_write_table if log_format in ("parquet", "delta") else _write_lines)(draft)
    if rng.random() < _BREAKING_SHARE:
        _break(draft)
    if draft.must_read and draft.format != "delta" and rng.random() < 0.3:
        files = sorted(path for path in inner.iterdir() if not path.name.startswith("_"))
        log["path"] = [str(path) for path in files]
        draft.about.append("list of files")
    document = {
        "name": f"fuzz-{seed}",
        "output": str(folder / "out"),
        "entity_types": ["user", "item"],
        "relations": {
            "like": {"source": "user", "target": "item", "undone_by": "unlike"},
            "follow": {"source": "user", "target": "user"},
        },
        "logs": {"events": log},
        "split": {"by": "fraction", "test": 0.1, "validation": 0.0},
        "graph": {"partitions": 2, "max_rejected": 1, "latest": "2030-01-01"},
    }
    config = folder / "config.yaml"
    config.write_text(yaml.safe_dump(document, allow_unicode=True), encoding="utf-8")
    pairs = Counter(row.pair for row in draft.rows if row.pair is not None)
    sound = {row.pair for row in draft.rows if row.sound and row.pair is not None}
    count = draft.line_rows or len(draft.rows) + draft.other_rows
    return FuzzLog(config, count, pairs, sound, draft.must_read, ", ".join(draft.about))


def _write_lines(draft: _Draft) -> None:
    rng, select = draft.rng, draft.log["select"]
    separator = str(rng.choice([",", ";", "\t", "|"])) if draft.format == "csv" else "\t"
    header = draft.format == "csv" and rng.random() < 0.7
    if draft.format == "csv":
        lines = [csv_line(row, separator) for row in draft.rows]
        options: dict[str, Any] = {} if separator == "," else {"sep": "\\t" if separator == "\t" else separator}
        if header:
            options["header"] = True
        else:
            draft.log["columns"] = ", ".join(f"{name} STRING" for name in NAMES)
        draft.log["options"] = options
    elif draft.format == "json":
        lines = [json_line(row) for row in draft.rows]
    else:
        lines = ["\t".join(text_of(row.values[name]) for name in NAMES) for row in draft.rows]
        for field, name in (*((name, name) for name in NAMES[:3]), ("timestamp", "at"), ("weight", "weight")):
            select[field] = f"split(value, '\\t')[{NAMES.index(name)}]"
    content: list[bytes | Row] = list(draft.rows)
    if rng.random() < 0.5:
        broken = broken_lines(rng, draft.format, lines, separator)
        draft.other_rows = len(broken)
        draft.about.append(f"{len(broken)} broken lines")
        content += broken
        content = [content[i] for i in rng.permutation(len(content))]
    blank = [b"", b"  "][: int(rng.integers(3))]
    content = [*content[:3], *blank, *content[3:]]
    mixes = header and rng.random() < 0.4
    if mixes:
        draft.about.append("columns in several orders")
    _write_files(draft, content, _Form(separator, header, mixes))


@dataclass(frozen=True)
class _Form:
    """The form of the lines. mixes_columns: each file has its columns in an order of its own."""

    separator: str
    has_header: bool
    mixes_columns: bool

    def lines(self, draft: _Draft, content: Sequence[bytes | Row]) -> list[bytes]:
        """Return the lines of one file."""
        names = [NAMES[i] for i in draft.rng.permutation(len(NAMES))] if self.mixes_columns else list(NAMES)
        header = [self.separator.join(names)] if self.has_header else []
        rows = [entry if isinstance(entry, bytes) else self._line(draft, entry, names).encode() for entry in content]
        return [*(line.encode() for line in header), *rows]

    def _line(self, draft: _Draft, row: Row, names: Sequence[str]) -> str:
        if draft.format == "csv":
            return csv_line(row, self.separator, names)
        return json_line(row) if draft.format == "json" else "\t".join(text_of(row.values[name]) for name in names)


def _write_files(draft: _Draft, content: list[bytes | Row], form: _Form) -> None:
    """Spread lines over one to three files, of any compression and line end."""
    rng = draft.rng
    end = b"\r\n" if rng.random() < 0.2 else b"\n"
    mark = b"\xef\xbb\xbf" if rng.random() < 0.15 else b""
    for number, part in enumerate(np.array_split(np.arange(len(content)), int(rng.integers(1, 4)))):
        lines = form.lines(draft, [content[i] for i in part])
        body = mark + end.join(lines) + (end if rng.random() < 0.7 else b"")
        kind = rng.choice(["", "", ".gz", ".bz2"])
        if draft.format == "text":  # where a blank line is a row, too
            draft.line_rows += len(body.splitlines())
        packed = gzip.compress(body) if kind == ".gz" else bz2.compress(body) if kind == ".bz2" else body
        (draft.folder / f"part {number}.{draft.suffix}{kind}").write_bytes(packed)
    if end == b"\r\n":
        draft.about.append("CRLF")
    if mark:
        draft.about.append("byte-order mark")


def _write_table(draft: _Draft) -> None:
    rng = draft.rng
    columns = {name: [row.values[name] for row in draft.rows] for name in NAMES}
    source = str(rng.choice(["string", "binary", "dictionary", "int64", "double"]))
    if source in ("int64", "double"):  # ids as numbers
        ids = rng.choice(2**40, len(draft.rows), replace=False)
        draft.rows, columns["source"] = _numbered(draft, ids.tolist(), source)
    at: list[Any] = columns["at"]
    unit = str(rng.choice(["seconds", "us", "ns", "ms", "text"] if draft.format == "parquet" else ["seconds", "us"]))
    if unit in ("us", "ns", "ms"):
        scale = {"ms": 10**3, "us": 10**6, "ns": 10**9}[unit]
        in_range = [value if value is None or abs(value) < 9 * 10**9 else 4_200_000_000 for value in at]
        zone = "UTC" if rng.random() < 0.5 or draft.format == "delta" else None
        times = pa.array([None if value is None else int(value) * scale for value in in_range], pa.int64())
        column = times.cast(pa.timestamp(unit, zone))
    elif unit == "text":
        column = pa.array([None if value is None else str(value) for value in at])
    else:
        column = pa.array(at, pa.int64())
    table = pa.table({
        "source": _ids(columns["source"], source),
        "target": pa.array(columns["target"], pa.string()),
        "relation": pa.array(columns["relation"], pa.string()),
        "at": column,
        "weight": pa.array(columns["weight"], pa.float32() if rng.random() < 0.3 else pa.float64()),
        "un.used": pa.array(range(len(draft.rows))),
    })  # fmt: skip
    draft.about += [f"ids {source}", f"times {unit}"]
    if draft.format == "delta":
        plain = draft.folder.with_name("delta-table")  # the writer takes no odd names
        write_deltalake(str(plain), table)
        draft.folder.rmdir()
        plain.rename(draft.folder)
        return
    bounds = np.linspace(0, table.num_rows, int(rng.integers(2, 5))).astype(int)
    for number, (begin, stop) in enumerate(pairwise(bounds.tolist())):
        pq.write_table(table.slice(begin, stop - begin), draft.folder / f"part-{number}.parquet")


def _numbered(draft: _Draft, ids: list[int], source: str) -> tuple[list[Row], list[Any]]:
    """Replace the sources by numbers. One of them is a fraction or NaN if they are doubles: it must be rejected."""
    rows, values = [], []
    for number, (row, value) in enumerate(zip(draft.rows, ids, strict=True)):
        missing = row.values["source"] is None or not str(row.values["source"]).strip(" \u00a0\u3000")
        written: Any = None if missing else (float(value) if source == "double" else value)
        pair = None if row.pair is None else (str(value), row.pair[1])
        sound = row.sound
        if source == "double" and number == 3 and not missing:
            written, pair, sound = (value + 0.25 if value % 2 else float("nan")), None, False
        rows.append(Row({**row.values, "source": written}, pair, sound))
        values.append(written)
    return rows, values


def _ids(values: list[Any], kind: str) -> pa.Array:
    if kind == "binary":
        return pa.array([None if value is None else str(value).encode() for value in values], pa.binary())
    if kind == "dictionary":
        return pa.array(values, pa.string()).dictionary_encode()
    return pa.array(values, {"int64": pa.int64(), "double": pa.float64()}.get(kind, pa.string()))


def _break(draft: _Draft) -> None:
    """Put a fault into a file or the config. Such a log may be refused; if it is read, every row counts."""
    options: dict[str, Callable[[_Draft], None]] = {
        "hidden file beside": _hide_beside,
        "empty file beside": _empty_beside,
        "no such path": lambda d: d.log.update(path=f"{d.folder}-missing"),
        "no such column": lambda d: d.log["select"].update(source="sourc"),
        "wrong format": _mistake_format,
        "wrong columns": lambda d: d.log.update(columns="source STRIN"),
        "wrong expression": lambda d: d.log["select"].update(weight="weight +"),
    }
    if draft.format != "delta":
        options |= {"cut file": _cut, "noise in a file": _noise, "folder in the folder": _nest}
    if draft.format in ("csv", "json"):
        options |= {"UTF-16": _utf16}
    name = str(draft.rng.choice(list(options)))
    options[name](draft)
    draft.must_read = draft.must_read and name in ("hidden file beside", "empty file beside")
    draft.about.append(name)


def _first_file(draft: _Draft) -> Path:
    return min(path for path in draft.folder.rglob("*") if path.is_file())


def _hide_beside(draft: _Draft) -> None:
    (draft.folder / f"_hidden.{draft.suffix}").write_bytes(b"not,to,be,read\n")


def _empty_beside(draft: _Draft) -> None:
    if draft.format != "delta":
        (draft.folder / f"zero.{draft.suffix}").write_bytes(b"")


def _cut(draft: _Draft) -> None:
    path = _first_file(draft)
    if path.suffix in (".gz", ".bz2", ".parquet"):  # a plain file that is cut is one with fewer rows
        path.write_bytes(path.read_bytes()[:-20])


def _noise(draft: _Draft) -> None:
    path = _first_file(draft)
    if path.suffix in (".gz", ".bz2", ".parquet"):
        path.write_bytes(draft.rng.bytes(300))


def _nest(draft: _Draft) -> None:
    path = _first_file(draft)
    (draft.folder / "inner").mkdir()
    path.rename(draft.folder / "inner" / path.name)


def _mistake_format(draft: _Draft) -> None:
    draft.log["format"] = "json" if draft.format in ("csv", "parquet") else "csv"
    draft.line_rows = _count_lines(draft)


def _utf16(draft: _Draft) -> None:
    for path in draft.folder.iterdir():
        if path.suffix not in (".gz", ".bz2"):
            path.write_bytes(path.read_bytes().decode("utf-8", "replace").encode("utf-16"))
    if "header" not in draft.log.get("options", {}):
        draft.line_rows = _count_lines(draft)


def _count_lines(draft: _Draft) -> int:
    """Count the lines of any bytes that a reader of another format or encoding must account for."""
    openers: dict[str, Callable[[bytes], bytes]] = {".gz": gzip.decompress, ".bz2": bz2.decompress}
    count = 0
    for path in draft.folder.iterdir():
        if path.is_file() and not path.name.startswith(("_", ".")):
            content = openers.get(path.suffix, bytes)(path.read_bytes()).removeprefix(b"\xef\xbb\xbf")
            count += sum(bool(line.strip(b" ")) for line in re.split(rb"\r\n|\r|\n", content))
    return count
