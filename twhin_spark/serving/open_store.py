"""The vectors of a published version, opened from a config."""

from __future__ import annotations

from twhin_spark.config import Config
from twhin_spark.errors import InputError
from twhin_spark.serving.store import RepresentationStore
from twhin_spark.serving.store_locations import published_families, store_folder


def open_store(config: Config) -> RepresentationStore:
    """Open the vectors that are published under the config's output. Needs no Java.

    The first call for a version copies it from the Delta table to local files, which are mapped into memory from then
    on; `twhin-spark serve` uses the same files.

    Raises
    ------
    InputError
        Nothing is published, or a table cannot be read.
    """
    from twhin_spark.serving.sync_store import sync_family

    root = store_folder(config.serving, config.output)
    for family in published_families(config.serving, config.output):
        if problems := sync_family(root, family):
            raise InputError(problems[0])
    return RepresentationStore.open(root)
