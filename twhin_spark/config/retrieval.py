"""The section `retrieval` of a config: queries for candidates, and the merging of their lists."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from twhin_spark.config.base import Name, NotNegative, OneOrMore, Positive, Section, SparseFamily

Method = Literal["exact", "ann", "mixture", "communities"]
QueryMeasure = Literal["dot", "cosine", "log_cosine"]
Label = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_-]*$")]
Count = Annotated[int, Field(ge=1, le=100_000)]


class CandidateQuery(Section):
    """The k targets that score highest for each source, never the source itself."""

    relation: Name | None = Field(
        None, description="Relation that changes the source vectors, as in `(source + relation) · target`; null: none."
    )
    source: Name | None = Field(None, description="Entity type of the sources; null: that of the relation.")
    target: Name | None = Field(
        None, description="Entity type of the targets; null: that of the relation, or without one the same as `source`."
    )
    measure: QueryMeasure | None = Field(
        None,
        description="Similarity of a source and a target; null: the relation's comparator, or without a relation "
        "cosine; by communities dot. log_cosine: by communities only.",
    )
    source_family: SparseFamily | None = Field(
        None,
        description="Representation of the sources by communities; null: interested_in for consumers, otherwise as of "
        "targets, which have item_embeddings if they are items, else producer_embeddings.",
    )
    k: Count = Field(100, description="Number of candidates for each source.")
    exclude: list[Name] = Field(
        default_factory=list,
        description="Relations of the same entity types; their training edges are left out of the candidates.",
    )
    sources: Name | None = Field(
        None,
        description="Spark SQL condition over `entities`, with `first_time` and `last_time` of their training events, "
        "that chooses the sources; null: all.",
    )
    targets: Name | None = Field(
        None, description="Spark SQL condition as for `sources` that chooses the targets; null: all."
    )
    method: Method = Field(
        "exact",
        description="exact: all targets are scored; ann: the targets that an index proposes are scored; mixture: "
        "targets are drawn from the clusters of the source's own targets; communities: the first targets of the "
        "source's communities are scored, by representations of the job `communities`.",
    )
    recall: Name | None = Field(
        None,
        description="Relation on whose test edges the recall of the candidates is measured, with popularity and ALS; "
        "null: none.",
    )


class BlendConfig(Section):
    """A list merged from several queries of the same entity types by reciprocal rank fusion."""

    queries: dict[Name, Positive] = Field(
        min_length=1, description="Weights by query: a candidate's score is Σ weight / (`constant` + its rank there)."
    )
    constant: NotNegative = Field(
        60.0, description="Constant of the fusion; the greater, the less the first ranks count."
    )
    k: Count = Field(100, description="Number of candidates for each source.")


class AnnConfig(Section):
    """The index for `method: ann`. It proposes targets by quantised vectors, which are then ranked by exact scores."""

    lists: int | None = Field(
        None,
        ge=1,
        le=65_536,
        description="Number of lists that n vectors are divided into; null: 2 √n, at most n / 39.",
    )
    probes: int = Field(
        64, ge=1, description="Number of lists searched for a source; more lists find more and take longer."
    )
    refine: int = Field(
        8, ge=1, le=100, description="Number of targets proposed and scored for each candidate of the answer."
    )


class MixturesConfig(Section):
    """The clusters for `method: mixture`."""

    clusters: int = Field(64, ge=1, le=65_536, description="Number of clusters of the targets.")
    iterations: int = Field(20, ge=1, description="Number of iterations of spherical k-means.")
    neighbours: int = Field(10, ge=0, description="Number of nearest sources whose mixtures smooth a source's mixture.")
    smoothing: Annotated[float, Field(ge=0, le=1)] = Field(
        0.5, description="Share of the neighbours in a smoothed mixture."
    )
    seed: int = Field(0, ge=0, description="Seed of the first centroids.")


class CommunitySearchConfig(Section):
    """The search for `method: communities`: the first targets of a source's first communities are scored."""

    version: Name = Field("current", description="Version of the communities, as in `community_versions`.")
    communities: int = Field(50, ge=1, description="Number of a source's communities that are searched.")
    targets: int = Field(2000, ge=1, description="Number of a community's targets that are scored.")


class RetrievalConfig(Section):
    """Candidates from a published version, `twhin-spark candidates`."""

    version: Name = Field("current", description="Model version or alias whose vectors are used.")
    queries: dict[Label, CandidateQuery] = Field(default_factory=dict, description="The queries, by name.")
    blends: dict[Label, BlendConfig] = Field(default_factory=dict, description="Merged lists, by name.")
    recall_at: OneOrMore[Annotated[int, Field(ge=1)]] = Field(
        [10, 100], description="Values of k for which recall@k is measured."
    )
    ann: AnnConfig = Field(default_factory=lambda: AnnConfig(), description="Index for `method: ann`.")
    mixtures: MixturesConfig = Field(
        default_factory=lambda: MixturesConfig(), description="Clusters for `method: mixture`."
    )
    communities: CommunitySearchConfig = Field(
        default_factory=lambda: CommunitySearchConfig(), description="Search for `method: communities`."
    )
