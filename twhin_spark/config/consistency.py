"""What no single option can know: whether the sections of a config agree with each other."""

from __future__ import annotations

from collections.abc import Iterator

from twhin_spark.config.retrieval_consistency import retrieval
from twhin_spark.config.sections import Config


def problems(config: Config) -> list[str]:
    """One line for each disagreement: dotted path, what was found, what is allowed."""
    return [
        *_entity_types(config),
        *_relations(config),
        *_logs(config),
        *_times(config),
        *_model(config),
        *_watch(config),
        *retrieval(config),
    ]


def _one_of(names: list[str]) -> str:
    return "one of " + ", ".join(names)


def _entity_types(config: Config) -> Iterator[str]:
    types = config.entity_types
    for i, name in enumerate(types):
        if name in types[:i]:
            yield f"entity_types.{i}: found '{name}' again; allowed: each type once"
    for name, relation in config.relations.items():
        for end in ("source", "target"):
            if (found := getattr(relation, end)) not in types:
                yield f"relations.{name}.{end}: found '{found}'; allowed: a declared entity type, {_one_of(types)}"
    for name in config.graph.min_degree:
        if name not in types:
            yield f"graph.min_degree.{name}: unknown entity type; allowed: {_one_of(types)}"


def _relations(config: Config) -> Iterator[str]:
    undone_by: dict[str, str] = {}
    for name, relation in config.relations.items():
        if (relation.cap is not None) != (relation.repeats == "cap"):
            found = "nothing" if relation.cap is None else relation.cap
            yield f"relations.{name}.cap: found {found} with repeats: {relation.repeats}; allowed: with repeats: cap"
        if relation.undone_by is None:
            continue
        if relation.undone_by in config.relations:
            yield (
                f"relations.{name}.undone_by: found '{relation.undone_by}', which is a relation itself; "
                "allowed: a name that is not under relations"
            )
        if (other := undone_by.setdefault(relation.undone_by, name)) != name:
            yield (
                f"relations.{name}.undone_by: found '{relation.undone_by}', which undoes '{other}' already; "
                "allowed: a name of its own"
            )


def _logs(config: Config) -> Iterator[str]:
    for name, log in config.logs.items():
        if log.format == "dataframe" and (log.path or log.options):
            key = "path" if log.path else "options"
            yield f"logs.{name}.{key}: format is dataframe, whose rows are not read from files; leave {key} out"
        if log.format != "dataframe" and not log.path:
            yield f"logs.{name}.path: found nothing; this key is required unless format is dataframe"
        if config.split.by == "time" and log.select.timestamp is None:
            yield (
                f"logs.{name}.select.timestamp: found nothing; required with split.by: time "
                "(or set split.by to fraction or source)"
            )
        if (config.split.by == "source") != (log.select.split is not None):
            found = "nothing" if log.select.split is None else f"'{log.select.split}'"
            yield f"logs.{name}.select.split: found {found} with split.by: {config.split.by}; allowed: with by: source"
        if log.replays == "all_fields" and log.select.event_id is not None:
            yield f"logs.{name}.replays: found all_fields beside select.event_id; allowed: one of the two"
        if log.columns is not None and log.format not in ("csv", "json"):
            yield f"logs.{name}.columns: found a value with format: {log.format}; allowed: with csv or json"


def _times(config: Config) -> Iterator[str]:
    window, graph = config.window, config.graph
    if window.from_ and window.until and window.from_ >= window.until:
        yield f"window.until: found {window.until:%Y-%m-%dT%H:%M:%S}; allowed: after window.from"
    if graph.earliest >= graph.latest:
        yield f"graph.latest: found {graph.latest:%Y-%m-%dT%H:%M:%S}; allowed: after graph.earliest"
    if config.split.by != "source" and config.split.test + config.split.validation >= 1:
        found = f"{config.split.test} with validation {config.split.validation}"
        yield f"split.test: found {found}; allowed: below 1 together"
    for name, log in config.logs.items():
        if (window.from_ or window.until) and log.select.timestamp is None:
            yield f"logs.{name}.select.timestamp: found nothing; required with a window"


def _model(config: Config) -> Iterator[str]:
    training = config.training
    if training.groups is not None and training.groups > config.graph.partitions:
        yield f"training.groups: found {training.groups}; allowed: at most graph.partitions, {config.graph.partitions}"
    chunk = training.in_batch_negatives or training.batch_size
    if training.batch_size % chunk:
        yield (
            f"training.in_batch_negatives: found {chunk} with batch_size {training.batch_size}; "
            "allowed: a divisor of batch_size"
        )
    in_batch = chunk > 1 and training.in_batch_weight > 0
    if not in_batch and not (training.uniform_negatives and training.uniform_weight):
        yield (
            f"training.uniform_negatives: found {training.uniform_negatives} of weight {training.uniform_weight:g}, "
            f"with chunks of {chunk} and in_batch_weight {training.in_batch_weight:g}; "
            "allowed: some negatives that count, of either kind"
        )
    if training.logq and training.loss != "softmax":
        yield f"training.logq: found true with loss: {training.loss}; allowed: with loss: softmax"
    if training.adversarial_temperature is not None and training.loss != "logistic":
        found = f"found {training.adversarial_temperature:g} with loss: {training.loss}"
        yield f"training.adversarial_temperature: {found}; allowed: with loss: logistic"
    if training.loss == "cosine_contrastive" and training.comparator != "cosine":
        found = f"found cosine_contrastive with comparator: {training.comparator}"
        yield f"training.loss: {found}; allowed: with comparator: cosine"
    if training.max_norm is not None and training.comparator != "dot":
        found = f"found {training.max_norm:g} with comparator: {training.comparator}"
        yield f"training.max_norm: {found}; allowed: with comparator: dot, as cosines do not depend on lengths"
    for name, relation in config.relations.items():
        if relation.operator == "complex" and training.dim % 2:
            yield f"training.dim: found {training.dim}; allowed: an even number (relations.{name}.operator is complex)"
    for i, gate in enumerate(config.publishing.gates):
        if gate.relation not in config.relations:
            yield f"publishing.gates.{i}.relation: found '{gate.relation}'; allowed: {_one_of(list(config.relations))}"
        if gate.beats == "als" and config.evaluation.als is None:
            yield f"publishing.gates.{i}.beats: found als; allowed with evaluation.als: null: popularity"
        if (gate.at_least is None) == (gate.beats is None):
            yield f"publishing.gates.{i}: found {'both' if gate.beats else 'none'} of at_least and beats; allowed: one"


def _watch(config: Config) -> Iterator[str]:
    training, split = config.training, config.split
    wants = [
        *(["training.early_stopping"] if training.early_stopping else []),
        *(["training.keep: best"] if training.keep == "best" else []),
    ]
    for want in wants:
        if not training.validation.edges:
            yield f"training.validation.edges: found 0 with {want}; allowed: 1 or more"
        if split.by != "source" and not split.validation:
            yield f"split.validation: found 0 with {want}; allowed: above 0, as it goes by validation edges"
    for name, schedule in (("schedule", training.schedule), ("relation_schedule", training.relation_schedule)):
        if schedule and schedule.warmup_epochs > training.epochs:
            yield (
                f"training.{name}.warmup_epochs: found {schedule.warmup_epochs:g}; "
                f"allowed: at most training.epochs, {training.epochs}"
            )
