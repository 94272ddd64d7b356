"""The tables and the stores of a config: the families that it publishes, and the local folder of their stores."""

from __future__ import annotations

from pathlib import Path

from twhin_spark.config.serving import ServingConfig
from twhin_spark.errors import ConfigError
from twhin_spark.locations import absolute, is_uri
from twhin_spark.representations.published_family import DEFAULT_FAMILY, PublishedFamily


def store_folder(settings: ServingConfig, output: str) -> Path:
    """Return the folder of the stores. It is local, because the stores are mapped into memory.

    Raises
    ------
    ConfigError
        The output is a URI, and no folder is configured.
    """
    if settings.store is not None:
        return Path(settings.store).absolute()
    if is_uri(output):
        raise ConfigError(f"the output '{output}' is not local, so serving.store is required: a local folder")
    return Path(output).absolute() / "serving"


def published_families(settings: ServingConfig, output: str) -> list[PublishedFamily]:
    """Return the families that jobs write under the output, and those that the config adds.

    Raises
    ------
    ConfigError
        An added family has the name of one that a job writes.
    """
    for name in (DEFAULT_FAMILY, *settings.communities):
        if name in settings.families:
            raise ConfigError(f"serving.families.{name} is the name of a published family; choose another name")
    tables = absolute(f"{output.rstrip('/')}/tables")
    names = ("embeddings", "relations", "model_versions", "alignments")
    table, relations, model_versions, alignments = (f"{tables}/{name}" for name in names)
    published = PublishedFamily(DEFAULT_FAMILY, table, relations, model_versions, alignments)
    versions = f"{tables}/community_versions"
    sparse = [
        PublishedFamily(name, f"{tables}/{name}", versions=versions, pinned=True)
        for name in dict.fromkeys(settings.communities)
    ]
    return [published, *sparse, *(PublishedFamily(name, family.table) for name, family in settings.families.items())]
