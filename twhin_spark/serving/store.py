"""The Representation Manager: one reader for every family of representations, every version and every entity.

>>> store = RepresentationStore.open("build/demo/serving")
>>> store.get("user", "42")
>>> store.get_many([("user", "42"), ("tweet", "7")], version="current")
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from twhin_spark.representations.catalogue import Catalogue
from twhin_spark.representations.errors import NotServedError, StoreError, one_of
from twhin_spark.representations.published_family import DEFAULT_FAMILY
from twhin_spark.representations.version_lookup import CURRENT
from twhin_spark.serving.stored_version import Entity, Representation, StoredVersion


@dataclass(frozen=True)
class StoredFamily:
    """The versions of one family that its catalogue lists.

    Attributes
    ----------
    catalogue
        The catalogue, as it was when the family was opened.
    versions
        The open versions by folder.
    problems
        One line for each version that cannot be opened and is not served.
    """

    catalogue: Catalogue
    versions: Mapping[str, StoredVersion]
    problems: Sequence[str] = ()

    @classmethod
    def open(cls, folder: Path, *, verify: bool = False, reuse: StoredFamily | None = None) -> StoredFamily:
        """Open the versions in a family's folder.

        Parameters
        ----------
        folder
            The family's folder.
        verify
            Check the files' checksums, not only their lengths.
        reuse
            The family as it was opened before. Its versions are not opened again.

        Raises
        ------
        StoreError
            The current version cannot be opened.
        """
        catalogue = Catalogue.read(folder)
        if CURRENT not in catalogue.aliases:
            raise StoreError(f"{folder}: no current version; nothing was stored yet")
        opened = reuse.versions if reuse else {}
        versions, problems = {}, []
        for entry in catalogue.entries:
            try:
                before = opened.get(entry.folder)
                versions[entry.folder] = StoredVersion.open(folder / entry.folder, verify=verify, reuse=before)
            except StoreError as error:
                if entry.folder == catalogue.aliases[CURRENT]:
                    raise
                problems.append(str(error))
        return cls(catalogue, versions, problems)

    def version(self, name: str) -> StoredVersion:
        """Return a version by alias, such as `current`, or by model version. Raises NotServedError."""
        folders = [entry.folder for entry in self.catalogue.entries if entry.model_version == name]
        for folder in (self.catalogue.aliases.get(name, ""), *folders):
            if folder in self.versions:
                return self.versions[folder]
        names = {version.name for version in self.versions.values()} | set(self.catalogue.aliases)
        raise NotServedError(f"version '{name}' is not served; use {one_of(names)}")


@dataclass(frozen=True)
class RepresentationStore:
    """Representations by family, version, entity type and entity id.

    A store never changes: it keeps reading the versions that were current when it was opened. Methods raise
    NotServedError for an unknown family or version, and RequestError for an unknown entity type. For an unknown entity
    id they return None.
    """

    families: Mapping[str, StoredFamily] = field(default_factory=dict)

    @classmethod
    def open(cls, root: str | Path, *, verify: bool = False) -> RepresentationStore:
        """Open all families under a folder.

        Parameters
        ----------
        root
            Folder of the stores, one subfolder for each family.
        verify
            Read every file and check its checksum, not only its length.

        Raises
        ------
        StoreError
            There is no store, or the current version of a family is damaged.
        """
        folders = sorted(path for path in Path(root).iterdir() if path.is_dir()) if Path(root).is_dir() else []
        if not folders:
            raise StoreError(f"{root}: no stores; run `twhin-spark serve` to build them")
        return cls({folder.name: StoredFamily.open(folder, verify=verify) for folder in folders})

    def with_family(self, name: str, family: StoredFamily) -> RepresentationStore:
        """Return a store in which one family is replaced."""
        return RepresentationStore({**self.families, name: family})

    def get(
        self,
        entity_type: str,
        entity_id: str,
        *,
        family: str = DEFAULT_FAMILY,
        version: str = CURRENT,
        space: str | None = None,
    ) -> Representation | None:
        """Return an entity's representation, or None if it has none.

        Parameters
        ----------
        entity_type, entity_id
            The entity.
        family
            Family of representations.
        version
            Model version or alias.
        space
            Model version in whose space the vector is returned, for consumers that were built on that version; None:
            as it is.

        Returns
        -------
        numpy.ndarray or dict
            A dense vector, float32 (dim,), or weights by community.
        """
        return self.version(version, family=family).get(entity_type, entity_id, space)

    def get_many(
        self,
        entities: Sequence[Entity],
        *,
        family: str = DEFAULT_FAMILY,
        version: str = CURRENT,
        space: str | None = None,
    ) -> list[Representation | None]:
        """Return the representation, or None, of each (entity type, entity id), as `get` does; they may repeat."""
        return self.version(version, family=family).get_many(entities, space)

    def version(self, name: str = CURRENT, *, family: str = DEFAULT_FAMILY) -> StoredVersion:
        """Return a version by model version or alias. Raises NotServedError."""
        if family not in self.families:
            raise NotServedError(f"family '{family}' is not served; use {one_of(self.families)}")
        return self.families[family].version(name)
