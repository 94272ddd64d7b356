"""Fingerprints of tables that do not depend on the order of the rows or on the files that they lie in.

For example, if the hashes of two rows are 6 and 3, the content of a table is rows 2, sum 9 and xor 5, in either order.
The exclusive or alone would miss a row that is there twice; the sum alone could be balanced by chance more easily.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

from pyspark.sql import Column
from pyspark.sql import functions as F


@dataclass(frozen=True)
class Content:
    """Number of rows, and the sum (modulo 2^64) and exclusive or of their 64-bit hashes."""

    rows: int
    sum: int
    xor: int


def content_of(columns: Sequence[str]) -> Column:
    """Return an aggregate: a struct with the fields of Content over some columns."""
    key = F.xxhash64(*columns)
    return F.struct(
        F.count("*").alias("rows"),
        F.coalesce(F.sum(key), F.lit(0)).alias("sum"),
        F.coalesce(F.bit_xor(key), F.lit(0)).alias("xor"),
    )


def fingerprint(*parts: object) -> str:
    """Return 16 hex digits: a hash of the parts' representations."""
    return hashlib.blake2b(repr(parts).encode(), digest_size=8).hexdigest()
