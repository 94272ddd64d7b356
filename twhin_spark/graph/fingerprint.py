"""Fingerprints of tables, whatever order and files their rows lie in."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

from pyspark.sql import Column
from pyspark.sql import functions as F


@dataclass(frozen=True)
class Content:
    """Number of rows, and sum (modulo 2^64) and exclusive or of their hashes: none of them depends on the order."""

    rows: int
    sum: int
    xor: int


def content_of(columns: Sequence[str]) -> Column:
    """Aggregate: a struct with the fields of Content over some columns."""
    key = F.xxhash64(*columns)
    return F.struct(
        F.count("*").alias("rows"),
        F.coalesce(F.sum(key), F.lit(0)).alias("sum"),
        F.coalesce(F.bit_xor(key), F.lit(0)).alias("xor"),
    )


def fingerprint(*parts: object) -> str:
    """16 hex digits from the parts' representations."""
    return hashlib.blake2b(repr(parts).encode(), digest_size=8).hexdigest()
