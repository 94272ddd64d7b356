"""The published version that a run starts from. It is chosen when the run is first trained, and kept with the run."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from typing import Any

from pyarrow import fs

from twhin_spark.config import Config
from twhin_spark.errors import ConfigError
from twhin_spark.graph.graph_version import GraphVersion
from twhin_spark.locations import absolute
from twhin_spark.representations.version_lookup import CURRENT
from twhin_spark.tables.delta import TableStore
from twhin_spark.training.state.run_folder import RunFolder
from twhin_spark.versions.model_version import ModelVersion, current_version, find_model_version, read_vectors

_SETTING = "training.start.from"


def run_identity(config: Config, graph: GraphVersion, start: str | None = None) -> dict[str, Any]:
    """Return the settings that make a run what it is.

    The order of the entity types is one of them, as state files are in that order. Options that change no bit are not.
    A warm start is one by the name of
    the version (`start`), whatever the config calls it; without one the settings are those of a cold start.
    """
    training = config.training.model_dump(mode="json", by_alias=True, exclude={"task_threads", "commit_seconds"})
    warm = training.pop("start")
    if warm is not None:
        del warm["from"]
        training["start"] = {**warm, "version": start}
    return {
        "graph": graph.graph_id,
        "graph.self_loops": config.graph.self_loops,
        "entity_types": config.entity_types,
        "relations": {name: config.relations[name].model_dump(mode="json") for name in graph.relations},
        "training": training,
    }


def run_id_of(config: Config, graph: GraphVersion, start: str | None = None) -> str:
    """Return the run's name: the same graph, entity types, relations, training options and start give the same one."""
    return f"{config.name}-{_digest(run_identity(config, graph, start))}"


def choose_start(config: Config, store: TableStore, graph: GraphVersion, *, resume: bool = False) -> str | None:
    """Return the model version that a training of this config and graph starts from; None is a cold start.

    `current` is the version that is current now, with two exceptions. If that is itself a run of this config and graph,
    its own start is repeated, so that a second training of a day gives the same vectors. A resumed training keeps the
    start that it was begun with.

    Raises
    ------
    InputError
        No version has the name.
    ConfigError
        The version's vectors have another dimension.
    """
    if config.training.start is None:
        return None
    noted = _Note(config, graph)
    if resume and noted.exists():
        return noted.read()
    version = _named_version(config, store)
    if version is None:
        return None
    own = run_identity(config, graph)["training"]
    settings = RunFolder(config.output, version.run_id).settings()
    if settings is not None and settings["graph"] == graph.graph_id and _without_version(settings["training"]) == own:
        chosen: str | None = settings["training"]["start"]["version"]
        return chosen
    _check_dimension(config, store, version)
    return version.name


def note_start(config: Config, graph: GraphVersion, start: str | None) -> None:
    """Keep the start of a training, for `noted_start`."""
    if config.training.start is not None:
        _Note(config, graph).write(start)


def noted_start(config: Config, graph: GraphVersion) -> str | None:
    """Return the start of the latest training of this config and graph; None if it was cold or there was none."""
    if config.training.start is None:
        return None
    note = _Note(config, graph)
    return note.read() if note.exists() else None


def warm_config(config: Config, start: str | None) -> Config:
    """Return the config with the epochs of a warm start, or without `training.start` if nothing was published yet."""
    settings = config.training.start
    if settings is None:
        return config
    change: dict[str, Any] = {"start": None}
    if start is not None:
        change = {"epochs": settings.epochs or max(1, config.training.epochs // 4)}
    return config.model_copy(update={"training": config.training.model_copy(update=change)})


def _named_version(config: Config, store: TableStore) -> ModelVersion | None:
    settings = config.training.start
    assert settings is not None
    if settings.from_ == CURRENT:
        return current_version(store)
    return find_model_version(store, settings.from_, _SETTING)


def _check_dimension(config: Config, store: TableStore, version: ModelVersion) -> None:
    row = read_vectors(store, version).select("embedding").first()
    dim = len(row["embedding"]) if row is not None else config.training.dim
    if dim != config.training.dim:
        raise ConfigError(
            f"{_SETTING}: version '{version.name}' has vectors of dimension {dim}, but training.dim is "
            f"{config.training.dim}; set training.dim to {dim}, or remove training.start"
        )


def _without_version(training: dict[str, Any]) -> dict[str, Any]:
    if "start" not in training:
        return training
    return {**training, "start": {**training["start"], "version": None}}


def _digest(identity: dict[str, Any]) -> str:
    return hashlib.blake2b(json.dumps(identity).encode(), digest_size=5).hexdigest()


@dataclass(frozen=True)
class _Note:
    """The file that keeps the start of a config's training on a graph: OUTPUT/runs/starts/NAME-DIGEST.json."""

    config: Config
    graph: GraphVersion

    def write(self, start: str | None) -> None:
        filesystem, path = self._file()
        filesystem.create_dir(path.rpartition("/")[0])
        with filesystem.open_output_stream(f"{path}.new") as stream:
            stream.write(json.dumps({"version": start}).encode())
        filesystem.move(f"{path}.new", path)

    def read(self) -> str | None:
        filesystem, path = self._file()
        with filesystem.open_input_stream(path) as stream:
            version: str | None = json.loads(stream.read())["version"]
        return version

    def exists(self) -> bool:
        filesystem, path = self._file()
        return bool(filesystem.get_file_info(path).type == fs.FileType.File)

    def _file(self) -> tuple[fs.FileSystem, str]:
        name = f"{self.config.name}-{_digest(run_identity(self.config, self.graph))}.json"
        filesystem, root = fs.FileSystem.from_uri(absolute(f"{self.config.output.rstrip('/')}/runs"))
        return filesystem, f"{root}/starts/{name}"
