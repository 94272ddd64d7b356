"""The Delta tables: names, columns, types and comments. `docs/tables.md` is printed from here."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Column:
    name: str
    type: str  # Spark DDL
    comment: str


@dataclass(frozen=True)
class Table:
    name: str
    comment: str
    columns: tuple[Column, ...]

    @property
    def names(self) -> list[str]:
        return [column.name for column in self.columns]


_RELATION = Column("relation", "STRING", "Name of the relation")
_ENDS = (
    Column("source_type", "STRING", "Entity type of the source"),
    Column("source_id", "STRING", "Id of the source entity"),
    Column("target_type", "STRING", "Entity type of the target"),
    Column("target_id", "STRING", "Id of the target entity"),
)
_ENTITY = (
    Column("entity_type", "STRING", "Type of the entity"),
    Column("entity_id", "STRING", "Id of the entity, as the logs give it"),
)
_LOG = Column("log", "STRING", "Name of the log in the config")
_SPLIT = Column("split", "STRING", "train, validation or test")
_RUN = Column("run_id", "STRING", "Training run: config and graph in one id")
_VERSION = Column("model_version", "STRING", "Published version; the run_id of its training run")

EVENTS = Table(
    "events",
    "Accepted events, each once",
    (
        _LOG,
        Column("event_id", "STRING", "Id of the event, if the log has one"),
        Column("relation", "STRING", "Name of the relation, or of its retraction"),
        *_ENDS,
        Column("timestamp", "TIMESTAMP", "Time of the event (UTC)"),
        Column("weight", "DOUBLE", "Weight of the event as the log gives it, 1 by default"),
        _SPLIT,
    ),
)
REJECTED_EVENTS = Table(
    "rejected_events",
    "Invalid rows, with the reason",
    (_LOG, Column("reason", "STRING", "Why the row was rejected"), Column("raw", "STRING", "The row as it was read")),
)
ROW_COUNTS = Table(
    "row_counts",
    "Rows by outcome: read = accepted + replayed + rejected for each log, and "
    "accepted = in_edges + taken_back + self_loop + below_min_degree over all logs",
    (
        Column("log", "STRING", "Name of the log in the config; null for counts over all accepted events"),
        Column(
            "outcome",
            "STRING",
            "read, accepted, replayed, rejected, left_out, files; in_edges, taken_back, self_loop, below_min_degree",
        ),
        Column("reason", "STRING", "Reason of a rejected or left-out row; of files read, hidden or empty; else null"),
        Column("rows", "BIGINT", "Number of rows (events, files)"),
    ),
)
EDGES = Table(
    "edges",
    "One row for each relation, source, target and split",
    (
        _RELATION,
        *_ENDS,
        _SPLIT,
        Column("weight", "DOUBLE", "Decayed weights of the edge's events, summed as the relation's `repeats` says"),
        Column("event_count", "BIGINT", "Events behind the edge"),
        Column("first_time", "TIMESTAMP", "Time of its first event (UTC)"),
        Column("last_time", "TIMESTAMP", "Time of its last event (UTC)"),
    ),
)
ENTITIES = Table(
    "entities",
    "Every entity that training has ever seen; partition and row never change",
    (
        *_ENTITY,
        Column("partition", "INT", "Partition: entity_key modulo the number of partitions"),
        Column("row", "INT", "Row within type and partition, from 0"),
        Column("entity_key", "BIGINT", "64-bit hash (xxhash64) of type and id"),
        Column("degree", "BIGINT", "Distinct training edges at the entity in this graph"),
        Column("out_degree", "MAP<STRING,BIGINT>", "Distinct training edges by relation, entity as source"),
        Column("in_degree", "MAP<STRING,BIGINT>", "Distinct training edges by relation, entity as target"),
    ),
)
EDGE_BUCKETS = Table(
    "edge_buckets",
    "Training edges, packed: one row for each block of a bucket, arrays as little-endian binary",
    (
        Column("source_partition", "INT", "Partition of the sources"),
        Column("target_partition", "INT", "Partition of the targets"),
        Column("block", "INT", "Number of the block in its bucket, from 0"),
        Column("edges", "INT", "Edges in the block"),
        Column("source", "BINARY", "int32: row of each source in its partition"),
        Column("target", "BINARY", "int32: row of each target in its partition"),
        Column("relation", "BINARY", "int16: index of each relation in graph_versions.relations"),
        Column("weight", "BINARY", "float32: weight of each edge"),
    ),
)
GRAPH_VERSIONS = Table(
    "graph_versions",
    "One row for each finished build: the versions of the tables that belong together",
    (
        Column("graph_id", "STRING", "Fingerprint of the graph's content"),
        Column("built_at", "TIMESTAMP", "When the build finished (UTC)"),
        Column("tables", "MAP<STRING,BIGINT>", "Delta version of each table of this graph"),
        Column("relations", "ARRAY<STRING>", "Relations by their index in edge_buckets"),
        Column("partitions", "INT", "Number of partitions"),
        Column("reference_time", "TIMESTAMP", "Time of the last training event, from which decay counts back (UTC)"),
        Column("hash_collisions", "BIGINT", "Entities that share an entity_key with another; kept apart by id"),
        Column("rows", "STRING", "Row counts of the build (JSON)"),
        Column("config", "STRING", "Config of the build (JSON)"),
    ),
)
TRAINING_ROUNDS = Table(
    "training_rounds",
    "Progress of training: one row for each epoch, round and relation",
    (
        _RUN,
        Column("epoch", "INT", "Epoch, from 0"),
        Column("round", "INT", "Round of the epoch, from 0"),
        _RELATION,
        Column("edges", "BIGINT", "Edges trained"),
        Column(
            "loss", "DOUBLE", "Mean loss of an edge, both sides, from one batch of eight; null: no edge was trained"
        ),
        Column("seconds", "DOUBLE", "Wall time of the round, of all its relations"),
        Column("learning_rate", "DOUBLE", "Learning rate of entities in the round"),
        Column("relation_learning_rate", "DOUBLE", "Learning rate of relations in the round"),
        Column("held_out_edges", "BIGINT", "Validation edges measured after the epoch's last round; else null"),
        Column("held_out_loss", "DOUBLE", "Mean loss of these edges: comparable between epochs, not with `loss`"),
        Column(
            "monitor_mrr",
            "DOUBLE",
            "Mean reciprocal rank of their targets, for early stopping and `keep: best`; not the MRR of `metrics`",
        ),
        Column(
            "tasks", "INT", "Tasks of the round; null, like what follows, where a later row tells of several epochs"
        ),
        Column("task_seconds", "DOUBLE", "Wall time of a task: the median of the round"),
        Column("slowest_task_seconds", "DOUBLE", "Wall time of the slowest task"),
        Column("edge_seconds", "DOUBLE", "Time that the tasks waited for edges and unpacked them, summed over them"),
        Column("read_seconds", "DOUBLE", "Time that they read state, summed over them"),
        Column("kernel_seconds", "DOUBLE", "Time that they computed, summed over them"),
        Column("write_seconds", "DOUBLE", "Time that they wrote state, summed over them"),
        Column("read_bytes", "BIGINT", "State that they read"),
        Column("written_bytes", "BIGINT", "State that they wrote, what a later step of theirs replaced included"),
        Column("peak_rss_bytes", "BIGINT", "Most memory that a task's Python process ever had resident"),
    ),
)
TRAINING_CLAIMS = Table(
    "training_claims",
    "Claims on runs: a row for each driver that started to train one",
    (
        _RUN,
        Column("fence", "INT", "Number of the claim on the run, from 1; the highest holds it"),
        Column("host", "STRING", "Machine of the driver"),
        Column("process", "INT", "Process id of the driver"),
        Column("process_started", "DOUBLE", "Unix seconds at which that process began, which tell it from a later one"),
        Column("claimed_at", "TIMESTAMP", "Time of the claim"),
        Column("token", "STRING", "Random id of the driver, which tells it whether the claim is its own"),
    ),
)
METRICS = Table(
    "metrics",
    "Metrics of each run on the test split, beside its baselines",
    (
        _RUN,
        Column("relation", "STRING", "Name of the relation; null: over all relations"),
        Column("average", "STRING", "micro: of all queries; macro: of the relations' values; null: one relation"),
        Column("model", "STRING", "twhin, popularity, als, or current: the version that was current"),
        Column("metric", "STRING", "mrr, hits@k, recall@k or ndcg@k"),
        Column("value", "DOUBLE", "Value of the metric, 0 to 1"),
        Column("low", "DOUBLE", "Lower end of its 95% interval, by bootstrap over sources"),
        Column("high", "DOUBLE", "Upper end"),
        Column("queries", "BIGINT", "Averaged over: queries for mrr and hits@k, sources for recall@k and ndcg@k"),
        Column("cold_share", "DOUBLE", "Share of new test edges left out as an end is not in training; null: over all"),
    ),
)
RELATIONS = Table(
    "relations",
    "Parameters of the relations of every published version",
    (
        _VERSION,
        _RELATION,
        Column("source_type", "STRING", "Entity type of the source"),
        Column("target_type", "STRING", "Entity type of the target"),
        Column("operator", "STRING", "identity, translation, diagonal or complex"),
        Column("comparator", "STRING", "dot or cosine, of the changed vector and the other; null, as of old: dot"),
        Column("weight", "DOUBLE", "Weight of the relation in training"),
        Column("side", "STRING", "target: parameters that rank targets; source: that rank sources (two-sided)"),
        Column("parameters", "ARRAY<FLOAT>", "Parameters of the operator; empty for identity"),
    ),
)
EMBEDDINGS = Table(
    "embeddings",
    "Vectors of the current model version; earlier ones by time travel",
    (
        *_ENTITY,
        Column("embedding", "ARRAY<FLOAT>", "The entity's vector"),
        Column("norm", "FLOAT", "Euclidean norm of the vector"),
        Column("degree", "BIGINT", "Distinct training edges at the entity"),
        _VERSION,
        Column("origin", "STRING", "trained, or folded_in: fitted after training; null, as of old: trained"),
        Column(
            "departed_at",
            "TIMESTAMP",
            "Since when the entity has no training edge and its former vector is kept (UTC); null: it has some",
        ),
    ),
)
MODEL_VERSIONS = Table(
    "model_versions",
    "Every published version; can be rebuilt from the history of embeddings",
    (
        _VERSION,
        Column("table_version", "BIGINT", "Delta version of embeddings that holds it"),
        _RUN,
        Column("graph_id", "STRING", "Graph it was trained on"),
        Column("published_at", "TIMESTAMP", "Time of the commit (UTC)"),
        Column("alias", "STRING", "current for the latest version, else null"),
        Column("metrics", "STRING", "Metrics of the run (JSON)"),
        Column("config", "STRING", "Config of the run (JSON)"),
        Column("tags", "ARRAY<STRING>", "Names that stay with the version until they are removed; null: none"),
        Column("started_from", "STRING", "Version that the run was started from; null: from random vectors"),
        Column("aligned_to", "STRING", "Version to whose coordinates the vectors were turned; null: not turned"),
        Column("code_version", "STRING", "Version of twhin-spark that published it"),
        Column("gates", "STRING", "Quality gates, with what was measured and whether it passed (JSON)"),
        Column("forced", "STRING", "Who published it although a gate failed, and why (JSON); null: all gates passed"),
        Column("vacuumed_at", "TIMESTAMP", "When the version's vectors were deleted (UTC); null: they can be read"),
    ),
)
ALIGNMENTS = Table(
    "alignments",
    "Linear maps between the vectors of published versions: x becomes x · matrix",
    (
        Column("from_version", "STRING", "Model version whose vectors are mapped"),
        Column("to_version", "STRING", "Model version to whose vectors they are mapped"),
        Column(
            "kind",
            "STRING",
            "backward: least squares over shared entities, to read vectors in the space of an earlier version; "
            "published: the change of coordinates that publishing applied to the trained vectors",
        ),
        Column("dim", "INT", "Rows of the matrix"),
        Column("matrix", "ARRAY<DOUBLE>", "The matrix, row by row"),
        Column("error", "DOUBLE", "Σ|x · matrix - y|² / Σ|y|² over shared entities: 0 is a perfect fit"),
        Column("entities", "BIGINT", "Shared entities that it was fitted on"),
    ),
)
DRIFT = Table(
    "drift",
    "How far vectors moved from one published version to another",
    (
        Column("from_version", "STRING", "The earlier model version"),
        Column("to_version", "STRING", "The later model version"),
        Column("entity_type", "STRING", "Type of the entities; null: all types, or relations"),
        Column("degree_band", "STRING", "Degree in the later version, such as 10-99; null: all degrees"),
        Column("relation", "STRING", "Name of the relation; null: entities"),
        Column(
            "measure",
            "STRING",
            "cosine: 1 - cosine of both vectors; l2: |y - x| / |x|; neighbour_overlap@10: shared share of the ten "
            "nearest entities of the type; came, went: entities of one version only",
        ),
        Column("rotated", "BOOLEAN", "Whether the later version was turned to the earlier one by the best rotation"),
        Column("count", "BIGINT", "Entities or relations that were measured"),
        Column("mean", "DOUBLE", "Mean of the measure; null for came and went"),
        *(
            Column(f"p{percent}", "DOUBLE", f"{percent}th percentile, to 0.0005 for cosine and l2")
            for percent in (5, 25, 50, 75, 95)
        ),
        Column("histogram", "ARRAY<BIGINT>", "Counts in twenty equal parts of 0 to 2; larger values are in the last"),
    ),
)
_COMMUNITY = Column("community", "BIGINT", "Id of the community; ids are never used again")
_COMMUNITY_VERSION = Column("model_version", "STRING", "Version of the communities, as in community_versions")
_WEIGHTS = Column("embedding", "MAP<BIGINT,FLOAT>", "Weight by community, the largest first")
KNOWN_FOR = Table(
    "known_for",
    "The community of each producer that has one",
    (
        *_ENTITY,
        _COMMUNITY,
        Column("affiliation", "DOUBLE", "How strongly it belongs there: 1 if all its edges lead to all other members"),
        Column("weight", "DOUBLE", "Affiliation, scaled so that the squares of a community's weights add up to 1"),
        Column("consumers", "BIGINT", "Consumers of the producer that the similarity counts"),
        _COMMUNITY_VERSION,
    ),
)
COMMUNITIES = Table(
    "communities",
    "The communities of the current version; those of earlier ones by time travel",
    (
        _COMMUNITY,
        Column("size", "BIGINT", "Number of producers that are known for it"),
        Column("members", "ARRAY<STRUCT<entity_id: STRING, weight: DOUBLE>>", "Its first members by weight"),
        Column("recall", "DOUBLE", "Share of the weight of its members' edges that stays within it"),
        Column("precision", "DOUBLE", "Share of the pairs of its members that have an edge"),
        Column("conductance", "DOUBLE", "Weight of the edges that leave it, over that at its members or at others"),
        Column("born", "STRING", "Version in which the community appeared"),
        Column("change", "STRING", "Since the version before: same members, changed or new"),
        _COMMUNITY_VERSION,
    ),
)
INTERESTED_IN = Table("interested_in", "Sparse representations of consumers", (*_ENTITY, _WEIGHTS, _COMMUNITY_VERSION))
PRODUCER_EMBEDDINGS = Table(
    "producer_embeddings", "Sparse representations of producers", (*_ENTITY, _WEIGHTS, _COMMUNITY_VERSION)
)
ITEM_EMBEDDINGS = Table("item_embeddings", "Sparse representations of items", (*_ENTITY, _WEIGHTS, _COMMUNITY_VERSION))
COMMUNITY_INDEX = Table(
    "community_index",
    "The first producers and items of each community",
    (
        _COMMUNITY,
        *_ENTITY,
        Column("rank", "INT", "Rank in the community's list of this type, from 1"),
        Column("weight", "FLOAT", "Weight of the community in the entity's representation"),
        _COMMUNITY_VERSION,
    ),
)
COMMUNITY_VERSIONS = Table(
    "community_versions",
    "One row for each published version of the communities; its last row is the current one",
    (
        Column("model_version", "STRING", "Version of the communities"),
        Column("published_at", "TIMESTAMP", "Time of the commit (UTC)"),
        Column("alias", "STRING", "current for the latest version, else null"),
        Column("graph_id", "STRING", "Graph that it was made from"),
        Column("tables", "MAP<STRING,BIGINT>", "Delta version of each table of this version"),
        Column("started_from", "STRING", "Version whose communities the search started from; null: none"),
        Column("resolution", "DOUBLE", "Resolution of the objective"),
        Column("quality", "DOUBLE", "The objective that was reached"),
        Column("drift", "MAP<STRING,BIGINT>", "Number of same, changed, new and lost communities"),
        Column("next_community", "BIGINT", "Id of the next new community"),
        Column("counts", "STRING", "Producers, consumers, edges, edges that were cut, and others (JSON)"),
        Column("config", "STRING", "Section communities of the config (JSON)"),
    ),
)
CANDIDATES = Table(
    "candidates",
    "Candidates of the latest `candidates` job; those of earlier ones by time travel",
    (
        Column("query", "STRING", "Name of the query, or of the blend of several"),
        Column("source_type", "STRING", "Entity type of the source, which the candidates are for"),
        Column("source_id", "STRING", "Id of the source"),
        Column("candidate_type", "STRING", "Entity type of the candidate"),
        Column("candidate_id", "STRING", "Id of the candidate"),
        Column("rank", "INT", "Rank of the candidate in the source's list, from 1"),
        Column("score", "DOUBLE", "Score by the query's measure; of a blend its sum over queries"),
        Column(
            "tags",
            "ARRAY<STRUCT<query: STRING, method: STRING, rank: INT>>",
            "Every query that found the candidate, how (exact, ann or mixture), and its rank there",
        ),
        _VERSION,
    ),
)

GRAPH_TABLES = (EVENTS, REJECTED_EVENTS, ROW_COUNTS, EDGES, ENTITIES, EDGE_BUCKETS)
COMMUNITY_TABLES = (
    KNOWN_FOR,
    COMMUNITIES,
    INTERESTED_IN,
    PRODUCER_EMBEDDINGS,
    ITEM_EMBEDDINGS,
    COMMUNITY_INDEX,
)
TABLES = (
    *GRAPH_TABLES,
    GRAPH_VERSIONS,
    TRAINING_CLAIMS,
    TRAINING_ROUNDS,
    METRICS,
    RELATIONS,
    EMBEDDINGS,
    MODEL_VERSIONS,
    ALIGNMENTS,
    DRIFT,
    *COMMUNITY_TABLES,
    COMMUNITY_VERSIONS,
    CANDIDATES,
)


def ddl(table: Table) -> str:
    """The table's columns as Spark DDL, for `createDataFrame`."""
    return ", ".join(f"`{column.name}` {column.type}" for column in table.columns)
