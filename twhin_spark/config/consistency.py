"""Consistency of a config: the rules that no single option can check."""

from __future__ import annotations

from collections.abc import Iterator

from twhin_spark.config.communities_consistency import communities
from twhin_spark.config.retrieval_consistency import retrieval
from twhin_spark.config.sections import Config, GateConfig


def problems(config: Config) -> list[str]:
    """Return one line for each broken rule: what is wrong, what is required, and what to do."""
    return [
        *_entity_types(config),
        *_relations(config),
        *_logs(config),
        *_times(config),
        *_model(config),
        *_start(config),
        *_gates(config),
        *_validation(config),
        *communities(config),
        *retrieval(config),
    ]


def _entity_types(config: Config) -> Iterator[str]:
    types = config.entity_types
    declared = ", ".join(types)
    for i, name in enumerate(types):
        if name in types[:i]:
            yield f"entity_types.{i} is '{name}' a second time; remove it"
    for name, relation in config.relations.items():
        for end in ("source", "target"):
            if (entity_type := getattr(relation, end)) not in types:
                yield f"relations.{name}.{end} is '{entity_type}', but must be one of entity_types: {declared}"
    for name in config.graph.min_degree:
        if name not in types:
            yield f"graph.min_degree.{name} names no entity type; it must be one of entity_types: {declared}"


def _relations(config: Config) -> Iterator[str]:
    retracted: dict[str, str] = {}
    for name, relation in config.relations.items():
        path = f"relations.{name}"
        if relation.repeats == "cap" and relation.cap is None:
            yield f"{path}.repeats is 'cap', so {path}.cap is required"
        if relation.repeats != "cap" and relation.cap is not None:
            yield f"{path}.cap is {relation.cap:g}, so {path}.repeats must be 'cap', not '{relation.repeats}'"
        if relation.undone_by is None:
            continue
        if relation.undone_by in config.relations:
            yield f"{path}.undone_by is '{relation.undone_by}', a relation itself; it must be a name not in relations"
        if (other := retracted.setdefault(relation.undone_by, name)) != name:
            yield (
                f"{path}.undone_by is '{relation.undone_by}', like that of relations.{other}; "
                "each relation must have a name of its own for its retractions"
            )


def _logs(config: Config) -> Iterator[str]:
    by = config.split.by
    for name, log in config.logs.items():
        path = f"logs.{name}"
        if log.format == "dataframe" and (log.path or log.options):
            key = "path" if log.path else "options"
            yield f"{path}.format is 'dataframe', whose rows are not read from files; remove {path}.{key}"
        if log.format != "dataframe" and not log.path:
            yield f"{path}.format is '{log.format}', so {path}.path is required"
        if by == "time" and log.select.timestamp is None:
            yield (
                f"split.by is 'time', so {path}.select.timestamp is required; "
                "for logs without times, set split.by to fraction or source"
            )
        if by == "source" and log.select.split is None:
            yield f"split.by is 'source', so {path}.select.split is required"
        if by != "source" and log.select.split is not None:
            yield f"{path}.select.split is '{log.select.split}', so split.by must be 'source', not '{by}'"
        if log.replays == "all_fields" and log.select.event_id is not None:
            yield f"{path}.replays is 'all_fields' and {path}.select.event_id is set; remove one of the two"
        if log.columns is not None and log.format not in ("csv", "json", "parquet"):
            yield f"{path}.columns is set, so {path}.format must be csv, json or parquet, not {log.format}"


def _times(config: Config) -> Iterator[str]:
    window, graph, split = config.window, config.graph, config.split
    if window.from_ and window.until and window.from_ >= window.until:
        yield f"window.until is {window.until:%Y-%m-%dT%H:%M:%S}, but must be after window.from"
    if graph.earliest >= graph.latest:
        yield f"graph.latest is {graph.latest:%Y-%m-%dT%H:%M:%S}, but must be after graph.earliest"
    if split.by != "source" and split.test + split.validation >= 1:
        yield f"split.test is {split.test} and split.validation {split.validation}; together they must be below 1"
    for name, log in config.logs.items():
        if (window.from_ or window.until) and log.select.timestamp is None:
            yield f"window is set, so logs.{name}.select.timestamp is required"


def _model(config: Config) -> Iterator[str]:
    training = config.training
    if training.groups is not None and training.groups > config.graph.partitions:
        yield f"training.groups is {training.groups}, but must be at most graph.partitions, {config.graph.partitions}"
    chunk = training.in_batch_negatives or training.batch_size
    if training.batch_size % chunk:
        yield f"training.in_batch_negatives is {chunk}, but must divide training.batch_size, {training.batch_size}"
    in_batch = chunk > 1 and training.in_batch_weight > 0
    if not in_batch and not (training.uniform_negatives and training.uniform_weight):
        yield (
            f"training has no negatives: uniform_negatives is {training.uniform_negatives} of weight "
            f"{training.uniform_weight:g}, and a chunk has {chunk} edges of in_batch_weight "
            f"{training.in_batch_weight:g}; raise the number and the weight of one kind"
        )
    if training.logq and training.loss != "softmax":
        yield f"training.logq is true, so training.loss must be 'softmax', not '{training.loss}'"
    if training.adversarial_temperature is not None and training.loss != "logistic":
        yield f"training.adversarial_temperature is set, so training.loss must be 'logistic', not '{training.loss}'"
    if training.loss == "cosine_contrastive" and training.comparator != "cosine":
        yield f"training.loss is '{training.loss}', so comparator must be 'cosine', not '{training.comparator}'"
    if training.max_norm is not None and training.comparator != "dot":
        yield (
            f"training.max_norm is set, so training.comparator must be 'dot', not '{training.comparator}', "
            "as a cosine does not depend on lengths"
        )
    for name, relation in config.relations.items():
        if relation.operator == "complex" and training.dim % 2:
            yield f"relations.{name}.operator is 'complex', so training.dim must be even, not {training.dim}"
    for name, schedule in (("schedule", training.schedule), ("relation_schedule", training.relation_schedule)):
        if schedule and schedule.warmup_epochs > training.epochs:
            yield (
                f"training.{name}.warmup_epochs is {schedule.warmup_epochs:g}, "
                f"but must be at most training.epochs, {training.epochs}"
            )


def _start(config: Config) -> Iterator[str]:
    if (start := config.training.start) is None:
        return
    for i, name in enumerate(start.freeze.entity_types):
        if name not in config.entity_types:
            yield (
                f"training.start.freeze.entity_types.{i} is '{name}', but must be one of entity_types: "
                f"{', '.join(config.entity_types)}"
            )
    for i, name in enumerate(start.freeze.relations):
        if name not in config.relations:
            yield (
                f"training.start.freeze.relations.{i} is '{name}', but must be one of relations: "
                f"{', '.join(config.relations)}"
            )
    frozen = set(start.freeze.entity_types)
    if frozen.issuperset(config.entity_types) and set(start.freeze.relations).issuperset(config.relations):
        yield "training.start.freeze freezes all entity types and relations; leave one of them to be trained"


def _gates(config: Config) -> Iterator[str]:
    for i, gate in enumerate(config.publishing.gates):
        path = f"publishing.gates.{i}"
        if gate.drift is not None:
            yield from _drift_gate(config, gate, path)
            continue
        for key in ("relation", "metric"):
            if getattr(gate, key) is None:
                yield f"{path}.{key} is required, unless {path}.drift is set"
        for key in ("entity_type", "at_most"):
            if getattr(gate, key) is not None:
                yield f"{path}.{key} is set, so {path}.drift is required"
        if gate.relation is not None and gate.relation not in config.relations:
            yield f"{path}.relation is '{gate.relation}', but must be one of relations: {', '.join(config.relations)}"
        if gate.beats == "als" and config.evaluation.als is None:
            yield f"{path}.beats is 'als', but evaluation.als is null; set evaluation.als, or {path}.beats=popularity"
        bounds = [key for key in ("at_least", "beats", "not_worse_than") if getattr(gate, key) is not None]
        if not bounds:
            yield f"{path} has no bound; set {path}.at_least, {path}.beats or {path}.not_worse_than"
        if len(bounds) > 1:
            yield f"{path} has two bounds; remove {' or '.join(f'{path}.{key}' for key in bounds)}"
        if gate.tolerance and gate.not_worse_than is None:
            yield f"{path}.tolerance is set, so {path}.not_worse_than is required"


def _drift_gate(config: Config, gate: GateConfig, path: str) -> Iterator[str]:
    if not config.publishing.drift:
        yield f"{path}.drift is set, so publishing.drift must be true, not false"
    if gate.entity_type is not None and gate.entity_type not in config.entity_types:
        yield (
            f"{path}.entity_type is '{gate.entity_type}', but must be one of entity_types: "
            f"{', '.join(config.entity_types)}"
        )
    for key in ("relation", "metric", "beats", "not_worse_than"):
        if getattr(gate, key) is not None:
            yield f"{path}.drift is set, so {path}.{key} must not be; make two gates of them"
    if (gate.at_least is None) == (gate.at_most is None):
        yield f"{path} needs one bound; set {path}.at_most or {path}.at_least"


def _validation(config: Config) -> Iterator[str]:
    training, split = config.training, config.split
    causes = []
    if training.early_stopping:
        causes.append("training.early_stopping is set")
    if training.keep == "best":
        causes.append("training.keep is 'best'")
    for cause in causes:
        if not training.validation.edges:
            yield f"{cause}, so training.validation.edges must be 1 or more, not 0"
        if split.by != "source" and not split.validation:
            yield f"{cause}, so split.validation must be above 0, as validation needs held-out edges"
