"""Brings the stores of a family in line with its table; a publish and a rollback are the same step.

Run as a module it is the process that a service starts for that: an `Order` on stdin, the problems as a JSON list on
stdout. In a process of its own a build takes neither the service's memory nor its time.
"""

from __future__ import annotations

import json
import os
import re
import sys
from collections.abc import Sequence
from pathlib import Path

from twhin_spark.errors import TwhinError
from twhin_spark.representations import published_table as published
from twhin_spark.representations.catalogue import CURRENT, Catalogue, Entry, locked, sweep
from twhin_spark.representations.errors import StoreError
from twhin_spark.representations.family import Family, Order
from twhin_spark.representations.published_table import Published
from twhin_spark.representations.store_manifest import Manifest
from twhin_spark.serving.build_store import build


def sync(root: Path, family: Family, names: Sequence[str] = (), *, keep: int = 2, verify: bool = True) -> list[str]:
    """Provides the store of the current version, and of the versions or aliases `names`, under ROOT/FAMILY.

    keep: how many stores stay for a quick rollback, the current one among them. verify: whether a store that is there
    already must pass its checksums, not only have its files' lengths; one that fails is built anew.
    Returns one line for each version that could not be provided; the catalogue then has what it had before.
    """
    folder = root / family.name
    problems = []
    with locked(folder):
        catalogue = _read(folder)
        for name in (CURRENT, *names):
            try:
                version = published.current(family) if name == CURRENT else published.named(family, name)
                catalogue = catalogue.with_entry(_provide(folder, version, verify), name)
            except (TwhinError, OSError) as error:
                problems.append(f"{family.name} {name}: {error}")
            catalogue.write(folder)  # a kill during the next build loses nothing
        catalogue = catalogue.pruned(keep, {CURRENT, *names})
        catalogue.write(folder)
        sweep(folder, catalogue)
    return problems


def _read(folder: Path) -> Catalogue:
    try:
        return Catalogue.read(folder)
    except StoreError:
        return Catalogue()  # its stores are found by their names


def _provide(folder: Path, version: Published, verify: bool) -> Entry:
    name = _folder_name(version)
    if not _is_sound(folder / name, verify):
        build(version, folder / name)
    return Entry(folder=name, model_version=version.model_version, table_version=version.table_version)


def _folder_name(version: Published) -> str:
    """Model version and fingerprint: a version that was published twice with other rows has two stores."""
    return f"{re.sub(r'[^A-Za-z0-9._-]', '_', version.model_version)[:100]}-{version.fingerprint}"


def _is_sound(folder: Path, verify: bool) -> bool:
    try:
        Manifest.read(folder).check(folder, content=verify)
    except StoreError:
        return False
    return True


def main() -> None:
    os.nice(10)  # the service's requests come first
    order = Order.model_validate_json(sys.stdin.buffer.read())
    json.dump(sync(order.root, order.family, order.names, keep=order.keep, verify=order.verify), sys.stdout)


if __name__ == "__main__":
    main()
