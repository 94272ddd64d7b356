"""The sections of a configuration file: every option's type, range, default, unit and line of help, in one place.

`docs/config.md` is printed from these classes (`make docs`); what they refuse is refused before Spark starts.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated, Literal

from pydantic import Field

from twhin_spark.config.base import Measure, Name, NotNegative, OneOrMore, Positive, Section, Share, Time
from twhin_spark.config.retrieval import RetrievalConfig
from twhin_spark.config.serving import ServingConfig

Operator = Literal["identity", "translation", "diagonal", "complex"]
Repeats = Literal["sum", "log", "cap"]
Metric = Literal["mrr", "hits@1", "hits@3", "hits@10", "recall@10", "recall@20", "ndcg@10", "ndcg@20"]
MAX_PARTITIONS = 32_768  # of every entity type


class RelationConfig(Section):
    source: Name = Field(description="Entity type at the source end; one of `entity_types`.")
    target: Name = Field(description="Entity type at the target end; one of `entity_types`.")
    weight: Positive = Field(1.0, description="Factor on the loss of every edge of this relation.")
    sampling: Annotated[float, Field(gt=0, le=100)] = Field(
        1.0,
        description="How many times an epoch trains each edge of this relation: 0.5 is a random half of them, "
        "2.5 all of them twice and a random half once more.",
    )
    half_life_days: Positive | None = Field(
        None, description="Days in which an event's weight halves, back from the end of training; null: no decay."
    )
    operator: Operator = Field("translation", description="What the relation does to the source vector.")
    two_sided: bool = Field(
        False, description="Learn a second parameter vector that ranks sources; for knowledge graphs."
    )
    repeats: Repeats = Field(
        "sum", description="How repeated events of one edge add up: sum, ln(1 + sum), or sum up to `cap`."
    )
    cap: Positive | None = Field(None, description="Upper bound of an edge's weight where `repeats` is cap.")
    undone_by: Name | None = Field(
        None, description="Name of the events that take this relation back (unfollow); earlier events are dropped."
    )


class SelectConfig(Section):
    """Spark SQL expressions over the raw columns of a log."""

    relation: Name = Field(description="Relation name of the event.")
    source: Name = Field(description="Id of the source entity.")
    target: Name = Field(description="Id of the target entity; may be an `explode(...)`.")
    timestamp: Name | None = Field(
        None, description="Time of the event: a TIMESTAMP, ISO 8601 text (UTC), or Unix seconds as number or text."
    )
    weight: Name | None = Field(None, description="Weight of the event, above zero; without it every event is 1.")
    split: Name | None = Field(None, description="train, validation or test; only where `split.by` is source.")
    event_id: Name | None = Field(
        None, description="Id that two deliveries of one event share; later copies count as replayed."
    )


class LogConfig(Section):
    path: OneOrMore[Name] = Field(
        default_factory=list,
        description="File, folder or glob, or a list of them; relative to the working directory. Required unless "
        "`format` is dataframe.",
    )
    format: Literal["csv", "json", "parquet", "delta", "text", "dataframe"] = Field(
        description="Format of the files; dataframe: the rows are a DataFrame that is passed to `build_graph` or "
        "`pipeline` of the Python API."
    )
    options: dict[str, str | bool | int | float] = Field(
        default_factory=dict, description="Options of Spark's reader for that format, as `header: true`, `sep: ';'`."
    )
    columns: Name | None = Field(
        None, description="Column names and types as Spark DDL (`id STRING, n INT`); null: from the files."
    )
    where: Name | None = Field(None, description="Spark SQL condition; rows that fail it are left out, and counted.")
    select: SelectConfig = Field(description="Where the fields of an event come from.")
    replays: Literal["keep", "all_fields"] = Field(
        "keep", description="Without `select.event_id`: all_fields counts events equal in every field once."
    )


class SplitConfig(Section):
    by: Literal["time", "fraction", "source"] = Field(
        "time", description="time: the last events; fraction: a seeded draw of edges; source: `select.split` says."
    )
    test: Share = Field(0.1, description="Share of the events (of the edges, by fraction) that are held out as test.")
    validation: Share = Field(0.05, description="Share that is held out to tune baselines and settings; before test.")
    seed: int = Field(0, ge=0, description="Seed of the draw where `by` is fraction.")


class WindowConfig(Section):
    from_: Time | None = Field(None, alias="from", description="First time that is read (UTC); null: open.")
    until: Time | None = Field(None, description="First time that is no longer read (UTC); null: open.")


class GraphConfig(Section):
    partitions: int = Field(
        32, ge=1, le=MAX_PARTITIONS, description="Partitions of every entity type; fixed for ever by the first build."
    )
    min_degree: dict[str, Annotated[int, Field(ge=1)]] = Field(
        default_factory=dict, description="By entity type: entities with fewer training edges are dropped, once."
    )
    self_loops: Literal["keep", "drop"] = Field(
        "drop",
        description="What becomes of edges from an entity to itself. keep: an entity may be its own answer, so a "
        "chunk's sources are negative targets, too, and its targets negative sources.",
    )
    block_edges: int = Field(65_536, ge=1, description="Most edges in one packed row of `edge_buckets`.")
    earliest: Time = Field(
        datetime(2000, 1, 1, tzinfo=UTC), description="Timestamps before it are rejected as out of range."
    )
    latest: Time = Field(
        datetime(2100, 1, 1, tzinfo=UTC), description="Timestamps from it on are rejected as out of range."
    )
    max_rejected: Annotated[float, Field(ge=0, le=1)] = Field(
        0.1, description="Largest share of rejected rows of a log before the build fails."
    )


class ScheduleConfig(Section):
    """How a learning rate changes; every round takes the rate at its middle."""

    decay: Literal["constant", "linear", "cosine"] = Field(
        "constant", description="How the rate falls from its full value, after the warm-up, to the last epoch's end."
    )
    warmup_epochs: NotNegative = Field(
        0.0, description="Epochs, or parts of one, in which the rate rises linearly from 0 to its full value."
    )
    final: Annotated[float, Field(ge=0, le=1)] = Field(
        0.0, description="Share of the full rate that is left at the last epoch's end; constant does not use it."
    )


class ValidationConfig(Section):
    edges: int = Field(
        2000,
        ge=0,
        le=100_000,
        description="Most validation edges, a seeded sample, that every epoch is measured on; 0: no measurement.",
    )
    metric: Literal["held_out_loss", "monitor_mrr"] = Field(
        "monitor_mrr", description="What early stopping and `keep: best` go by; monitor_mrr is measured for them only."
    )


class EarlyStoppingConfig(Section):
    patience: int = Field(3, ge=1, description="Epochs in a row without an improvement after which training ends.")
    min_delta: NotNegative = Field(0.0, description="Least change of `validation.metric` that is an improvement.")


class RegularizationConfig(Section):
    """A penalty that every edge pays, times its weight."""

    norm: Literal["l2", "n3"] = Field("n3", description="Σ x² or Σ |x|³ of the components.")
    entities: NotNegative = Field(0.0, description="Factor for the vectors of the edge's ends.")
    relations: NotNegative = Field(0.0, description="Factor for the parameters of its relation.")


class TrainingConfig(Section):
    dim: int = Field(64, ge=1, le=4096, description="Dimension of the vectors.")
    epochs: int = Field(10, ge=1, description="Passes over all edges.")
    seed: int = Field(0, ge=0, description="Seed of everything random in training.")
    batch_size: int = Field(512, ge=1, description="Edges in one gradient step, at most.")
    in_batch_negatives: int | None = Field(
        None,
        ge=1,
        description="Edges of a chunk: a batch is divided into chunks, in which each other edge is an in-batch "
        "negative; null: the batch is one chunk.",
    )
    uniform_negatives: int = Field(
        512, ge=0, description="Entities drawn uniformly for a chunk, on each side, as negatives."
    )
    in_batch_weight: NotNegative = Field(1.0, description="Factor on the loss of in-batch negatives.")
    uniform_weight: NotNegative = Field(1.0, description="Factor on the loss of uniform negatives.")
    logq: bool | None = Field(
        None,
        description="Divide a negative's weight by how often it is expected, so that the negatives stand for all "
        "entities; null: where the loss is softmax, the only one that allows it.",
    )
    comparator: Measure = Field(
        "dot", description="How the changed source and the target make a score: their dot product, or its cosine."
    )
    loss: Literal["logistic", "softmax", "cosine_contrastive"] = Field(
        "softmax",
        description="Loss of a positive and its negatives; cosine_contrastive with `comparator: cosine` only.",
    )
    temperature: Positive = Field(1.0, description="Divisor of scores in the softmax loss.")
    adversarial_temperature: Positive | None = Field(
        None,
        description="In the logistic loss, negatives that score f weigh in proportion to e^(adversarial_temperature · "
        "f); null: all alike.",
    )
    margin: Annotated[float, Field(ge=-1, lt=1)] = Field(
        0.9, description="Cosine up to which a negative costs nothing in the cosine_contrastive loss."
    )
    max_norm: Positive | None = Field(
        None,
        description="Length of an entity's vector, at most: a step beyond it is scaled back; with `comparator: dot` "
        "only; null: no bound.",
    )
    regularization: RegularizationConfig | None = Field(None, description="A penalty on large vectors; null: none.")
    learning_rate: Positive = Field(0.1, description="Step of row-wise Adagrad on entities.")
    relation_learning_rate: Positive = Field(0.1, description="Step of Adagrad on relation parameters.")
    schedule: ScheduleConfig = Field(
        default_factory=lambda: ScheduleConfig(), description="How `learning_rate` changes."
    )
    relation_schedule: ScheduleConfig | None = Field(
        None, description="How `relation_learning_rate` changes; null: as `schedule` says."
    )
    validation: ValidationConfig = Field(
        default_factory=lambda: ValidationConfig(), description="Measuring every epoch."
    )
    early_stopping: EarlyStoppingConfig | None = Field(
        None, description="When training ends before the last epoch; null: never."
    )
    keep: Literal["last", "best"] = Field(
        "last",
        description="The epoch that is evaluated and published: the last one, or the best by `validation.metric`.",
    )
    init_scale: Positive = Field(0.01, description="Standard deviation of an entity's first vector.")
    groups: int | None = Field(
        None, ge=1, description="Groups that an epoch deals the partitions into; null: from task slots and memory."
    )
    task_memory_gb: Positive = Field(
        1.0, description="GB that the Python process of one task may hold in all: vectors, edges, batches and itself."
    )


class AlsConfig(Section):
    rank: int = Field(64, ge=1, description="Factors of the ALS baseline.")
    iterations: int = Field(10, ge=1, description="Iterations of the ALS baseline.")
    regularization: OneOrMore[Positive] = Field(
        [0.1], description="Regularisation; of several values, validation MRR picks one for each relation."
    )
    alpha: OneOrMore[Positive] = Field(
        [10.0], description="Confidence of an observed edge; of several values, validation MRR picks one."
    )


class EvaluationConfig(Section):
    sides: Literal["target", "both"] = Field(
        "target",
        description="What is asked of a held-out edge: its target, given the source; both: its source, given the "
        "target, as well, as knowledge graphs are measured.",
    )
    als: AlsConfig | None = Field(
        default_factory=lambda: AlsConfig(),
        description="The ALS baseline; null: none, as where relations are very many.",
    )


class GateConfig(Section):
    relation: Name = Field(description="Relation whose metric must reach the bound.")
    metric: Metric = Field(description="Metric of the twhin model on the test split.")
    at_least: float | None = Field(None, description="Bound of the metric.")
    beats: Literal["popularity", "als"] | None = Field(None, description="Baseline whose metric is the bound.")


class PublishingConfig(Section):
    gates: list[GateConfig] = Field(default_factory=list, description="What a model must reach to be published.")


class Config(Section):
    """A data set and a model."""

    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_-]*$")] = Field(
        description="Name of the model; run ids and model versions start with it."
    )
    output: Name = Field(description="Folder or URI of tables, state and reports.")
    entity_types: Annotated[list[Name], Field(min_length=1)] = Field(description="The types of entities.")
    relations: Annotated[dict[Name, RelationConfig], Field(min_length=1)] = Field(description="The relations, by name.")
    logs: Annotated[dict[Name, LogConfig], Field(min_length=1)] = Field(description="The logs that are read, by name.")
    split: SplitConfig = Field(default_factory=lambda: SplitConfig(), description="What is held out of training.")
    window: WindowConfig = Field(default_factory=lambda: WindowConfig(), description="The events of a backfill.")
    graph: GraphConfig = Field(default_factory=lambda: GraphConfig(), description="Cleaning and building the graph.")
    training: TrainingConfig = Field(default_factory=lambda: TrainingConfig(), description="Training the vectors.")
    evaluation: EvaluationConfig = Field(
        default_factory=lambda: EvaluationConfig(), description="Metrics and baselines."
    )
    publishing: PublishingConfig = Field(
        default_factory=lambda: PublishingConfig(), description="Committing a version."
    )
    retrieval: RetrievalConfig = Field(
        default_factory=lambda: RetrievalConfig(), description="Candidates from a version."
    )
    serving: ServingConfig = Field(
        default_factory=lambda: ServingConfig(), description="The service over published versions."
    )
