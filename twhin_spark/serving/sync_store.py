"""Synchronisation of a family's stores with its table. A publish and a rollback are the same step.

Run as a module, it is the process that a service starts for a synchronisation: SyncArguments on stdin, the problems as
a JSON list on stdout. In a separate process, a build does not use the service's memory or delay its responses.
"""

from __future__ import annotations

import json
import os
import re
import sys
from collections.abc import Sequence
from pathlib import Path

from twhin_spark.errors import TwhinError
from twhin_spark.representations.catalogue import Catalogue, CatalogueEntry, lock_folder, remove_unlisted
from twhin_spark.representations.errors import StoreError
from twhin_spark.representations.published_family import PublishedFamily
from twhin_spark.representations.published_table import TableSnapshot, find_snapshot
from twhin_spark.representations.store_manifest import StoreManifest
from twhin_spark.representations.version_lookup import CURRENT
from twhin_spark.serving.build_store import build_store
from twhin_spark.serving.sync_arguments import SyncArguments


def sync_family(
    root: Path, family: PublishedFamily, names: Sequence[str] = (), *, keep: int = 2, verify: bool = True
) -> list[str]:
    """Provide the stores of the current version and of other versions of a family, under ROOT/FAMILY.

    Parameters
    ----------
    root
        Folder of all stores.
    family
        The family.
    names
        Model versions or aliases to provide beside the current version.
    keep
        Number of stores that stay for a quick rollback, including the current one.
    verify
        Check the checksums of the stores that exist, not only their files' lengths. A damaged store is built again.

    Returns
    -------
    list of str
        One line for each version that could not be provided. For these the catalogue stays as it was.
    """
    folder = root / family.name
    problems = []
    with lock_folder(folder):
        catalogue = _read(folder)
        for name in (CURRENT, *names):
            try:
                catalogue = catalogue.with_entry(_provide(folder, find_snapshot(family, name), verify), name)
            except (TwhinError, OSError) as error:
                problems.append(f"{family.name} {name}: {error}")
            catalogue.write(folder)  # before the next build, which may be killed
        catalogue = catalogue.pruned(keep, {CURRENT, *names})
        catalogue.write(folder)
        remove_unlisted(folder, catalogue)
    return problems


def _read(folder: Path) -> Catalogue:
    try:
        return Catalogue.read(folder)
    except StoreError:
        return Catalogue()  # existing stores are found again by the names of their folders


def _provide(folder: Path, snapshot: TableSnapshot, verify: bool) -> CatalogueEntry:
    name = _folder_name(snapshot)
    if not _is_sound(folder / name, verify):
        build_store(snapshot, folder / name)
    return CatalogueEntry(folder=name, model_version=snapshot.model_version, table_version=snapshot.table_version)


def _folder_name(snapshot: TableSnapshot) -> str:
    """Return model version and fingerprint: a version that was published twice with other rows has two stores."""
    return f"{re.sub(r'[^A-Za-z0-9._-]', '_', snapshot.model_version)[:100]}-{snapshot.fingerprint}"


def _is_sound(folder: Path, verify: bool) -> bool:
    try:
        StoreManifest.read(folder).check(folder, content=verify)
    except StoreError:
        return False
    return True


def main() -> None:
    """Read the arguments from stdin, synchronise, and write the problems to stdout."""
    os.nice(10)  # the service's requests come first
    arguments = SyncArguments.model_validate_json(sys.stdin.buffer.read())
    problems = sync_family(**dict(arguments))
    json.dump(problems, sys.stdout)


if __name__ == "__main__":
    main()
