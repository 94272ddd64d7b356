"""The section `training` of a config."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from twhin_spark.config.base import Measure, Name, NotNegative, Positive, Section, Share


class ScheduleConfig(Section):
    """Learning-rate schedule. Every round takes the rate at its middle."""

    decay: Literal["constant", "linear", "cosine"] = Field(
        "constant",
        description="Decay of the rate from its full value, after the warm-up, to the end of the last epoch.",
    )
    warmup_epochs: NotNegative = Field(
        0.0,
        description="Number of epochs, which may be a fraction, in which the rate rises linearly from 0 to its full "
        "value.",
    )
    final: Annotated[float, Field(ge=0, le=1)] = Field(
        0.0, description="Share of the full rate at the end of the last epoch; not used if `decay` is constant."
    )


class ValidationConfig(Section):
    edges: int = Field(
        2000,
        ge=0,
        le=100_000,
        description="Largest number of validation edges, a seeded sample, that every epoch is measured on; 0: no "
        "measurement.",
    )
    metric: Literal["held_out_loss", "monitor_mrr"] = Field(
        "monitor_mrr", description="Metric for early stopping and `keep: best`; monitor_mrr is measured only for them."
    )


class EarlyStoppingConfig(Section):
    patience: int = Field(
        3, ge=1, description="Number of epochs in a row without an improvement after which training ends."
    )
    min_delta: NotNegative = Field(0.0, description="Smallest change of `validation.metric` that is an improvement.")


class RegularizationConfig(Section):
    """A penalty on large vectors. It is added to the loss of every edge, times the edge's weight."""

    norm: Literal["l2", "n3"] = Field("n3", description="The penalty: l2 is Σ x², n3 is Σ |x|³ over the components.")
    entities: NotNegative = Field(0.0, description="Factor of the penalty on the vectors of the edge's ends.")
    relations: NotNegative = Field(0.0, description="Factor of the penalty on the parameters of its relation.")


class AnchorConfig(Section):
    """A pull of vectors to their start. At the end of an epoch, x becomes x - pull · (x - start)."""

    strength: Share = Field(0.1, description="The pull of an entity of average degree or more; 0: none.")
    degree_power: NotNegative = Field(
        0.0,
        description="The pull of an entity with fewer edges than the average of its type: strength · (degree / "
        "average)^degree_power; 0: the same for all.",
    )


class FreezeConfig(Section):
    """What takes part in scores and is not updated."""

    entity_types: list[Name] = Field(
        default_factory=list, description="Entity types whose vectors stay those of the start."
    )
    relations: list[Name] = Field(
        default_factory=list, description="Relations whose parameters stay those of the start."
    )


class StartConfig(Section):
    """A warm start: the first vectors are those of a published version, matched by entity type and id."""

    from_: Name = Field(
        "current",
        alias="from",
        description="Model version or tag, or current. While nothing is published, current is a cold start.",
    )
    epochs: int | None = Field(
        None, ge=1, description="Number of epochs after a warm start; null: a quarter of `training.epochs`."
    )
    new_entities: Literal["neighbours", "random"] = Field(
        "neighbours",
        description="First vectors of entities that the version does not have: the mean of their neighbours' vectors, "
        "seen through the relations, or random ones.",
    )
    departed_days: NotNegative = Field(
        0.0,
        description="Number of days for which entities without a training edge keep their published vectors, flagged "
        "as departed; 0: they are dropped.",
    )
    freeze: FreezeConfig = Field(default_factory=lambda: FreezeConfig(), description="What is not updated.")
    anchor: AnchorConfig | None = Field(None, description="A pull to the start; null: none.")


class TrainingConfig(Section):
    dim: int = Field(64, ge=1, le=4096, description="Dimension of the vectors.")
    epochs: int = Field(10, ge=1, description="Number of passes over all training edges.")
    seed: int = Field(0, ge=0, description="Seed of everything random in training.")
    start: StartConfig | None = Field(
        None, description="Warm start from a published version; null: vectors start at random ones."
    )
    batch_size: int = Field(512, ge=1, description="Largest number of edges in one gradient step.")
    in_batch_negatives: int | None = Field(
        None,
        ge=1,
        description="Number of edges in a chunk. A batch is divided into chunks, in which the ends of the other "
        "edges are in-batch "
        "negatives; null: the batch is one chunk.",
    )
    uniform_negatives: int = Field(
        512, ge=0, description="Number of entities drawn uniformly as negatives for each side of a chunk."
    )
    in_batch_weight: NotNegative = Field(1.0, description="Factor on the loss of in-batch negatives.")
    uniform_weight: NotNegative = Field(1.0, description="Factor on the loss of uniform negatives.")
    logq: bool | None = Field(
        None,
        description="logQ correction: divide a negative's weight by the number of times that it is expected in a "
        "chunk, so that the "
        "negatives stand for all entities; allowed with the softmax loss only; null: true with the softmax loss.",
    )
    comparator: Measure = Field(
        "dot",
        description="Similarity of the changed source vector and the target vector: their dot product or their cosine.",
    )
    loss: Literal["logistic", "softmax", "cosine_contrastive"] = Field(
        "softmax",
        description="Loss of an edge and its negatives; cosine_contrastive requires `comparator: cosine`.",
    )
    temperature: Positive = Field(1.0, description="Number that scores are divided by in the softmax loss.")
    adversarial_temperature: Positive | None = Field(
        None,
        description="In the logistic loss, a negative of score f weighs in proportion to e^(adversarial_temperature "
        "· f); "
        "null: all negatives weigh the same.",
    )
    margin: Annotated[float, Field(ge=-1, lt=1)] = Field(
        0.9, description="Cosine up to which a negative adds nothing to the cosine_contrastive loss."
    )
    max_norm: Positive | None = Field(
        None,
        description="Largest length of an entity's vector: a longer one is scaled back after a step; requires "
        "`comparator: dot`; null: no bound.",
    )
    regularization: RegularizationConfig | None = Field(None, description="Penalty on large vectors; null: none.")
    learning_rate: Positive = Field(0.1, description="Learning rate of row-wise Adagrad on entities.")
    relation_learning_rate: Positive = Field(0.1, description="Learning rate of Adagrad on relation parameters.")
    schedule: ScheduleConfig = Field(
        default_factory=lambda: ScheduleConfig(), description="Schedule of `learning_rate`."
    )
    relation_schedule: ScheduleConfig | None = Field(
        None, description="Schedule of `relation_learning_rate`; null: the same as `schedule`."
    )
    validation: ValidationConfig = Field(
        default_factory=lambda: ValidationConfig(), description="Measurement of every epoch."
    )
    early_stopping: EarlyStoppingConfig | None = Field(
        None, description="Early stopping; null: all epochs are trained."
    )
    keep: Literal["last", "best"] = Field(
        "last",
        description="The epoch that is evaluated and published: the last one, or the best by `validation.metric`.",
    )
    init_scale: Positive = Field(0.01, description="Standard deviation of an entity's first vector.")
    groups: int | None = Field(
        None,
        ge=1,
        description="Number of groups that an epoch deals the partitions into; null: computed from task slots and "
        "memory.",
    )
    task_memory_gb: Positive = Field(
        1.0,
        description="GB of memory that the Python process of one task may use in all: for vectors, edges, batches "
        "and itself.",
    )
    task_threads: int | None = Field(
        None,
        ge=1,
        le=256,
        description="Threads, and cores, of one task, which share the chunks of a batch; they change no bit. null: the "
        "cores of an executor, at most as many as a batch has chunks.",
    )
    commit_seconds: Positive = Field(
        60.0,
        description="Seconds of training between two commits, which is what a resume may lose. They are estimated from "
        "the size of the graph, and a commit is at the end of a round.",
    )
