"""The beginnings of files, read on the driver by Hadoop's file systems and codecs, as Spark reads the files."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

from pyspark.sql import SparkSession

from twhin_spark.errors import InputError
from twhin_spark.logs.files import spark_path
from twhin_spark.logs.spark_errors import FAILURES, one_line

_THREADS = 16
_SHOWN_BYTES = 16
# What files of other formats begin with.
_SIGNATURES = (
    (rb"\x1f\x8b\x08", "gzip, and Spark goes by the name: let it end in .gz"),
    (rb"BZh[1-9](1AY&SY|\x17rE8P)", "bzip2, and Spark goes by the name: let it end in .bz2"),
    (rb"\x28\xb5\x2f\xfd", "Zstandard, and Spark goes by the name: let it end in .zst"),
    (rb"\xfd7zXZ\x00", "xz, which Spark does not read: compress it with gzip or zstd, or unpack it"),
    (rb"\x04\x22\x4d\x18", "LZ4, which Spark does not read: compress it with gzip or zstd, or unpack it"),
    (rb"\xff\x06\x00\x00sNaPpY", "Snappy, which Spark does not read: compress it with gzip or zstd, or unpack it"),
    (rb"PK(\x03\x04|\x05\x06)", "a ZIP archive, which Spark does not read: unpack it"),
    (rb"7z\xbc\xaf\x27\x1c", "a 7z archive, which Spark does not read: unpack it"),
    (rb"PAR1[\x00-\x1f]", "Parquet: set format: parquet"),
    (rb"Obj\x01", "Avro: convert it to Parquet"),
    (rb"ORC[\x00-\x08\x0e-\x1f]", "ORC: convert it to Parquet"),
    (rb"SQLite format 3\x00", "an SQLite database: export its rows"),
)
_FRAMED = (".lz4", ".snappy", ".lzo")  # Hadoop's forms of these are not those that other programs write
_ZSTD = (".zst", ".zstd")
_BZIP2 = re.compile(rb"BZh[1-9](1AY&SY|\x17rE8P\x90)")  # and a first block, or the end of a stream without any
_T = TypeVar("_T")


class FileHeads:
    """Reader of the beginnings of a log's files. name: of the log."""

    def __init__(self, spark: SparkSession, name: str) -> None:
        assert spark._jvm is not None
        self.jvm: Any = spark._jvm
        self._conf = spark._jsc.hadoopConfiguration()
        self._codecs = self.jvm.org.apache.hadoop.io.compress.CompressionCodecFactory(self._conf)
        self._name = name

    def read(self, location: str, size: int, *, unpacked: bool) -> bytes:
        """Return the first bytes of a file: after decompression, or as they are stored.

        Raises
        ------
        InputError
            The file cannot be read.
        """
        try:
            path = self.jvm.org.apache.hadoop.fs.Path(spark_path(location))
            stream = path.getFileSystem(self._conf).open(path)
            try:
                codec = self._codecs.getCodec(path) if unpacked and not location.endswith(_ZSTD) else None
                plain = stream if codec is None else codec.createInputStream(stream)
                if unpacked and location.endswith(_ZSTD):  # Hadoop's own codec needs a library of the system
                    plain = self.jvm.com.github.luben.zstd.ZstdInputStream(stream)
                return bytes(self.jvm.java.io.DataInputStream(plain).readNBytes(size))
            finally:
                stream.close()
        except FAILURES as error:
            if unpacked and location.endswith(_FRAMED):  # any bytes may be the size of a block
                raise InputError(
                    f"logs.{self._name}.path: {location} cannot be unpacked: Spark reads what Hadoop has written under "
                    "such a name, but not the usual form; compress it with gzip or zstd, or unpack it"
                ) from None
            raise InputError(
                f"logs.{self._name}.path: cannot read {location}: {one_line(error)}; check the file"
            ) from None

    def check_format(self, locations: Sequence[str]) -> None:
        """Raise InputError if a file begins as one of another format does, or cannot be unpacked."""
        for location, head in in_threads(lambda location: self.read(location, _SHOWN_BYTES, unpacked=True), locations):
            if (advice := other_format(head)) is not None:
                raise InputError(f"logs.{self._name}.path: {location} is {advice}")

    def check_bzip2(self, locations: Sequence[str]) -> None:
        """Raise InputError if a file is not bzip2, though its name says so: Hadoop would find no row in it."""
        packed = [location for location in locations if location.endswith(".bz2")]
        for location, head in in_threads(lambda location: self.read(location, 10, unpacked=False), packed):
            if not _BZIP2.match(head):
                raise InputError(
                    f"logs.{self._name}.path: {location} is not a bzip2 file, though its name ends in .bz2; remove it "
                    "or write it again"
                )


def other_format(head: bytes) -> str | None:
    """Return which format other than text a file is of that begins so, and what to do about it, or None."""
    return next((advice for signature, advice in _SIGNATURES if re.match(signature, head)), None)


def in_threads(function: Callable[[str], _T], locations: Sequence[str]) -> Iterator[tuple[str, _T]]:
    """Yield each location with the result of a function, computed in threads."""
    with ThreadPoolExecutor(_THREADS) as threads:
        yield from zip(locations, threads.map(function, locations), strict=True)
