"""The sections of a configuration file: every option's type, range, default, unit and help.

`make docs` prints `docs/config.md` from these classes. They are checked before Spark starts.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import Annotated, Literal

from pydantic import AfterValidator, Field

from twhin_spark.config.base import Location, Name, NotNegative, OneOrMore, Positive, Section, Share, Time
from twhin_spark.config.communities import CommunitiesConfig
from twhin_spark.config.retrieval import RetrievalConfig
from twhin_spark.config.serving import ServingConfig
from twhin_spark.config.training import TrainingConfig

Operator = Literal["identity", "translation", "diagonal", "complex"]
Repeats = Literal["sum", "log", "cap"]
Metric = Literal["mrr", "hits@1", "hits@3", "hits@10", "recall@10", "recall@20", "ndcg@10", "ndcg@20"]


def _readable_by_all(location: str) -> str:
    if re.search(r"%[0-9A-Fa-f]{2}", location):
        raise ValueError("a location without % and two hexadecimal digits, which some readers of Delta decode")
    if re.search(r"[\\\x00-\x1f\x7f]", location):
        raise ValueError("a location without backslashes and control characters, which some readers of Delta replace")
    return location


OutputLocation = Annotated[Location, AfterValidator(_readable_by_all)]
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
        None,
        description="Age in days, counted back from the last training event, at which an event's weight is halved; "
        "null: no decay.",
    )
    operator: Operator = Field(
        "translation", description="How the relation changes the source vector before it is compared with the target."
    )
    two_sided: bool = Field(
        False, description="Learn a second parameter vector that ranks sources; for knowledge graphs."
    )
    repeats: Repeats = Field(
        "sum",
        description="Weight of an edge with repeated events: the sum of their weights, ln(1 + sum), or the sum up to "
        "`cap`.",
    )
    cap: Positive | None = Field(None, description="Upper bound of an edge's weight if `repeats` is cap.")
    undone_by: Name | None = Field(
        None,
        description="Name of the events that retract this relation, such as unfollow; earlier events of the edge do "
        "not count.",
    )


class SelectConfig(Section):
    """Spark SQL expressions over the raw columns of a log."""

    relation: Name = Field(description="Relation name of the event.")
    source: Name = Field(description="Id of the source entity.")
    target: Name = Field(description="Id of the target entity; may be an `explode(...)`.")
    timestamp: Name | None = Field(
        None, description="Time of the event: a TIMESTAMP, ISO 8601 text (UTC), or Unix seconds as number or text."
    )
    weight: Name | None = Field(None, description="Weight of the event, above 0; null: every event weighs 1.")
    split: Name | None = Field(
        None, description="Split of the event: train, validation or test; only if `split.by` is source."
    )
    event_id: Name | None = Field(
        None, description="Id that all deliveries of one event share; later copies count as replayed."
    )


class LogConfig(Section):
    path: OneOrMore[Location] = Field(
        default_factory=list,
        description="File, folder or glob (`*`, `?`, `[a-z]`, `{a,b}`, `**`), or a list of them; a folder is read "
        "with its subfolders; "
        "relative to the working directory; `~` and `$NAME` are replaced. Required unless "
        "`format` is dataframe.",
    )
    format: Literal["csv", "json", "parquet", "delta", "text", "dataframe"] = Field(
        description="Format of the files; dataframe: the rows are a DataFrame that is passed to `build_graph` or "
        "`pipeline` of the Python API."
    )
    options: dict[str, str | bool | int | float] = Field(
        default_factory=dict,
        description="Options of Spark's reader for the format, such as `header: true` or `sep: ';'`; values are text "
        "as it is "
        "written, so that `nullValue: NO` is NO.",
    )
    columns: Name | None = Field(
        None,
        description="Column names and types as Spark DDL (`id STRING, n INT`), for csv, json and parquet; "
        "null: from the files.",
    )
    where: Name | None = Field(
        None, description="Spark SQL condition; rows that do not meet it are left out and counted; null: all rows."
    )
    select: SelectConfig = Field(description="Expressions for the fields of an event.")
    replays: Literal["keep", "all_fields"] = Field(
        "keep",
        description="Rows that are equal in all fields, without `select.event_id`: keep counts each; all_fields "
        "counts one.",
    )


class SplitConfig(Section):
    by: Literal["time", "fraction", "source"] = Field(
        "time",
        description="What is held out. time: the last events; fraction: a seeded random draw of edges; source: as "
        "`select.split` gives it.",
    )
    test: Share = Field(
        0.1, description="Share of the events (if `by` is fraction, of the edges) that is the test split."
    )
    validation: Share = Field(
        0.05, description="Share that is the validation split; by time, the events just before the test split."
    )
    seed: int = Field(0, ge=0, description="Seed of the draw if `by` is fraction.")


class WindowConfig(Section):
    from_: Time | None = Field(
        None, alias="from", description="Time (UTC) of the first events that are read; null: no bound."
    )
    until: Time | None = Field(None, description="Time (UTC) before which events are read; null: no bound.")


class GraphConfig(Section):
    partitions: int = Field(
        32,
        ge=1,
        le=MAX_PARTITIONS,
        description="Number of partitions of every entity type; the first build of an output fixes it.",
    )
    min_degree: dict[str, Annotated[int, Field(ge=1)]] = Field(
        default_factory=dict,
        description="Least number of training edges by entity type; the edges of entities with fewer are dropped, "
        "once.",
    )
    self_loops: Literal["keep", "drop"] = Field(
        "drop",
        description="Edges from an entity to itself are dropped or kept. keep: an entity may be its own answer, so a "
        "chunk's sources are negative targets, too, and its targets negative sources.",
    )
    block_edges: int = Field(65_536, ge=1, description="Largest number of edges in one packed row of `edge_buckets`.")
    earliest: Time = Field(
        datetime(2000, 1, 1, tzinfo=UTC), description="Time (UTC); earlier timestamps are rejected as out of range."
    )
    latest: Time = Field(
        datetime(2100, 1, 1, tzinfo=UTC),
        description="Time (UTC); this and later timestamps are rejected as out of range.",
    )
    max_rejected: Annotated[float, Field(ge=0, le=1)] = Field(
        0.1, description="Largest share of a log's rows that may be rejected; with more, the build fails."
    )


class AlsConfig(Section):
    rank: int = Field(64, ge=1, description="Number of factors of the ALS baseline.")
    iterations: int = Field(10, ge=1, description="Number of iterations of the ALS baseline.")
    regularization: OneOrMore[Positive] = Field(
        [0.1], description="Regularisation; of several values, validation MRR picks one for each relation."
    )
    alpha: OneOrMore[Positive] = Field(
        [10.0], description="Confidence of an observed edge; of several values, validation MRR picks one."
    )


class EvaluationConfig(Section):
    sides: Literal["target", "both"] = Field(
        "target",
        description="Queries of a held-out edge. target: its target is sought, given the source; both: its source as "
        "well, given the "
        "target, as is usual for knowledge graphs.",
    )
    als: AlsConfig | None = Field(
        default_factory=lambda: AlsConfig(),
        description="The ALS baseline; null: none, for example if there are very many relations.",
    )


class GateConfig(Section):
    """A condition on a metric (`relation` and `metric`), or on how far vectors move (`drift`)."""

    relation: Name | None = Field(None, description="Relation whose metric must reach the bound.")
    metric: Metric | None = Field(None, description="Metric of the trained model on the test split.")
    at_least: float | None = Field(None, description="Smallest value of the metric or the drift that passes.")
    beats: Literal["popularity", "als"] | None = Field(None, description="Baseline whose value the metric must exceed.")
    not_worse_than: Literal["current"] | None = Field(
        None, description="The metric must not be below the current version's on the same queries."
    )
    tolerance: NotNegative = Field(
        0.0, description="Share of the current version's value by which the metric may be below it."
    )
    drift: Annotated[str, Field(pattern=r"^(cosine|l2|neighbour_overlap@10)_(mean|p5|p25|p50|p75|p95)$")] | None = (
        Field(
            None,
            description="Measure and statistic of the table `drift` against the current version, such as cosine_p50 "
            "or neighbour_overlap@10_mean. Without a current version the gate is passed.",
        )
    )
    entity_type: Name | None = Field(None, description="Entity type whose drift is bounded; null: all types.")
    at_most: float | None = Field(None, description="Largest value of the drift that passes.")


class PublishingConfig(Section):
    gates: list[GateConfig] = Field(
        default_factory=list, description="Conditions without which a model is not published."
    )
    align: bool = Field(
        True,
        description="Turn the vectors to the current version's by the change of coordinates that changes no score, "
        "and fit the map that gives them in its space.",
    )
    drift: bool = Field(
        True, description="Measure how far the vectors are from the current version's: the table `drift`."
    )


class Config(Section):
    """A data set and a model."""

    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_-]*$")] = Field(
        description="Name of the model; run ids and model versions start with it."
    )
    output: OutputLocation = Field(description="Folder or URI of tables, state and reports.")
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
    communities: CommunitiesConfig | None = Field(
        None, description="Communities and sparse representations; null: none."
    )
    retrieval: RetrievalConfig = Field(
        default_factory=lambda: RetrievalConfig(), description="Candidates from a version."
    )
    serving: ServingConfig = Field(
        default_factory=lambda: ServingConfig(), description="The service over published versions."
    )
