"""FB15k-237's training edges, as a TSV file and as arrays of the kernels."""

from __future__ import annotations

import gzip
from pathlib import Path

import numpy as np

from benchmarks.paths import BUILD, data_file
from twhin_spark.kernels.model import Edges

TSV = BUILD / "fb15k-237" / "train.tsv"


def edges_file() -> Path:
    """Return a TSV file of the training edges (head, relation, tail), which is unpacked into build/ once."""
    if not TSV.exists():
        packed = data_file("fb15k-237/train.txt.gz")
        TSV.parent.mkdir(parents=True, exist_ok=True)
        TSV.write_bytes(gzip.decompress(packed.read_bytes()))
    return TSV


def relation_names() -> list[str]:
    """Return the names of all relations, sorted."""
    return sorted({line.split("\t")[1] for line in edges_file().read_text().splitlines()})


def numbered_edges() -> tuple[Edges, int, int]:
    """Return the edges, all of weight 1, with entities and relations numbered from 0, and the numbers of both."""
    columns = np.array([line.split("\t") for line in edges_file().read_text().splitlines()]).T  # (3, n)
    entities, ends = np.unique(columns[[0, 2]], return_inverse=True)
    relations, relation = np.unique(columns[1], return_inverse=True)
    source, target = ends.reshape(2, -1).astype(np.int32)
    edges = Edges(source, target, relation.astype(np.int16), np.ones(len(source), np.float32))
    return edges, len(entities), len(relations)
