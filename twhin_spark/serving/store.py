"""The Representation Manager: one reader for every family of representations, every version, every entity.

>>> store = RepresentationStore.open("build/demo/serving")
>>> store.get("user", "42")
>>> store.get_many([("user", "42"), ("tweet", "7")], version="current")
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from twhin_spark.representations.catalogue import CURRENT, Catalogue
from twhin_spark.representations.errors import NotServedError, StoreError, one_of
from twhin_spark.serving.stored_version import Entity, Representation, StoredVersion

DEFAULT_FAMILY = "twhin"


@dataclass(frozen=True)
class StoredFamily:
    """The versions of one family, as its catalogue has them.

    versions: by folder. problems: one line for each version that cannot be opened and is therefore not served.
    """

    catalogue: Catalogue
    versions: Mapping[str, StoredVersion]
    problems: Sequence[str] = ()

    @classmethod
    def open(cls, folder: Path, *, verify: bool = False, reuse: StoredFamily | None = None) -> StoredFamily:
        """Opens what the catalogue of a family's folder names; versions that `reuse` has open are not opened again.

        Raises StoreError where the current version cannot be opened.
        """
        catalogue = Catalogue.read(folder)
        if CURRENT not in catalogue.aliases:
            raise StoreError(f"{folder}: no current version; nothing was stored yet")
        opened = reuse.versions if reuse else {}
        versions, problems = {}, []
        for entry in catalogue.entries:
            try:
                known = opened.get(entry.folder)
                versions[entry.folder] = StoredVersion.open(folder / entry.folder, verify=verify, reuse=known)
            except StoreError as error:
                if entry.folder == catalogue.aliases[CURRENT]:
                    raise
                problems.append(str(error))
        return cls(catalogue, versions, problems)

    def version(self, name: str) -> StoredVersion:
        """By alias, `current` among them, or by model version."""
        folders = [entry.folder for entry in self.catalogue.entries if entry.model_version == name]
        for folder in (self.catalogue.aliases.get(name, ""), *folders):
            if folder in self.versions:
                return self.versions[folder]
        names = {version.name for version in self.versions.values()} | set(self.catalogue.aliases)
        raise NotServedError(f"version '{name}' is not served; allowed: {one_of(names)}")


@dataclass(frozen=True)
class RepresentationStore:
    """Representations by family, model version, entity type and entity id.

    It never changes: what it answers comes from the versions that were current when it was opened. Unknown families and
    versions raise NotServedError, unknown entity types QuestionError; an unknown entity id is None.
    """

    families: Mapping[str, StoredFamily] = field(default_factory=dict)

    @classmethod
    def open(cls, root: str | Path, *, verify: bool = False) -> RepresentationStore:
        """Opens all families under a folder; with `verify` every file is read and must pass its checksum."""
        folders = sorted(path for path in Path(root).iterdir() if path.is_dir()) if Path(root).is_dir() else []
        if not folders:
            raise StoreError(f"{root}: no stores; `twhin-spark serve` or `sync` builds them")
        return cls({folder.name: StoredFamily.open(folder, verify=verify) for folder in folders})

    def with_family(self, name: str, family: StoredFamily) -> RepresentationStore:
        """The store in which a family is replaced."""
        return RepresentationStore({**self.families, name: family})

    def get(
        self, entity_type: str, entity_id: str, *, family: str = DEFAULT_FAMILY, version: str = CURRENT
    ) -> Representation | None:
        """A dense vector, float32 (dim,), or weights by community; None where the entity has no representation."""
        return self.version(version, family=family).get(entity_type, entity_id)

    def get_many(
        self, entities: Sequence[Entity], *, family: str = DEFAULT_FAMILY, version: str = CURRENT
    ) -> list[Representation | None]:
        """As `get` for each (entity type, entity id), in the order of the question; duplicates are answered again."""
        return self.version(version, family=family).get_many(entities)

    def version(self, name: str = CURRENT, *, family: str = DEFAULT_FAMILY) -> StoredVersion:
        """A version by model version or alias."""
        if family not in self.families:
            raise NotServedError(f"family '{family}' is not served; allowed: {one_of(self.families)}")
        return self.families[family].version(name)
