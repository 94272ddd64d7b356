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
                codec = self._codecs.getCodec(path) if unpacked else None
                plain = stream if codec is None else codec.createInputStream(stream)
                return bytes(self.jvm.java.io.DataInputStream(plain).readNBytes(size))
            finally:
                stream.close()
        except FAILURES as error:
            raise InputError(
                f"logs.{self._name}.path: cannot read {location}: {one_line(error)}; check the file"
            ) from None

    def check_bzip2(self, locations: Sequence[str]) -> None:
        """Raise InputError if a file is not bzip2, though its name says so: Hadoop would find no row in it."""
        packed = [location for location in locations if location.endswith(".bz2")]
        for location, head in in_threads(lambda location: self.read(location, 10, unpacked=False), packed):
            if not _BZIP2.match(head):
                raise InputError(
                    f"logs.{self._name}.path: {location} is not a bzip2 file, though its name ends in .bz2; remove it "
                    "or write it again"
                )


def in_threads(function: Callable[[str], _T], locations: Sequence[str]) -> Iterator[tuple[str, _T]]:
    """Yield each location with the result of a function, computed in threads."""
    with ThreadPoolExecutor(_THREADS) as threads:
        yield from zip(locations, threads.map(function, locations), strict=True)
