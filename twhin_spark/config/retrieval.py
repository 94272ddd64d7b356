"""The section `retrieval` of a config: which candidates are found for whom, and how lists of them are merged."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from twhin_spark.config.base import Measure, Name, NotNegative, OneOrMore, Positive, Section

Method = Literal["exact", "ann", "mixture"]
Label = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_-]*$")]
Count = Annotated[int, Field(ge=1, le=100_000)]


class CandidateQuery(Section):
    """The k targets that score highest for each source, never the source itself."""

    relation: Name | None = Field(
        None, description="Relation that sources are seen through, as `(source + relation) · target`; null: plain."
    )
    source: Name | None = Field(None, description="Entity type of the sources; null: the relation's.")
    target: Name | None = Field(None, description="Entity type of the targets; null: the relation's, else `source`.")
    measure: Measure | None = Field(
        None, description="How a source and a target are compared; null: by the relation's comparator, else cosine."
    )
    k: Count = Field(100, description="Candidates for each source.")
    exclude: list[Name] = Field(
        default_factory=list, description="Relations of the same ends whose training edges are no candidates."
    )
    sources: Name | None = Field(
        None,
        description="Spark SQL condition over `entities`, with `first_time` and `last_time` of their training events, "
        "that picks the sources; null: all.",
    )
    targets: Name | None = Field(None, description="The same for the targets.")
    method: Method = Field(
        "exact",
        description="exact: all targets are scored; ann: those that an index proposes; mixture: drawn from the "
        "clusters that the source engages with.",
    )
    recall: Name | None = Field(
        None, description="Relation whose test edges the candidates are measured on, beside popularity and ALS."
    )


class BlendConfig(Section):
    """A list that is merged from several queries of the same ends, by reciprocal rank fusion."""

    queries: dict[Name, Positive] = Field(
        min_length=1, description="Weights by query: a candidate's score is Σ weight / (`constant` + its rank there)."
    )
    constant: NotNegative = Field(60.0, description="The greater, the less the first ranks stand out.")
    k: Count = Field(100, description="Candidates for each source.")


class AnnConfig(Section):
    """The index behind `method: ann`, which proposes targets by their quantised vectors; exact scores decide."""

    lists: int | None = Field(
        None, ge=1, le=65_536, description="Lists that the vectors are divided into; null: 2 √n, at most n / 39."
    )
    probes: int = Field(64, ge=1, description="Lists that are searched for a source: more find more, and take longer.")
    refine: int = Field(8, ge=1, le=100, description="Targets that are proposed and scored for each one wanted.")


class MixturesConfig(Section):
    """The clusters behind `method: mixture`."""

    clusters: int = Field(64, ge=1, le=65_536, description="Clusters of the targets.")
    iterations: int = Field(20, ge=1, description="Iterations of spherical k-means.")
    neighbours: int = Field(10, ge=0, description="Nearest sources whose mixtures smooth a source's own.")
    smoothing: Annotated[float, Field(ge=0, le=1)] = Field(0.5, description="Share of the neighbours in a mixture.")
    seed: int = Field(0, ge=0, description="Seed of the first centroids.")


class RetrievalConfig(Section):
    """Candidates from a published version, `twhin-spark candidates`."""

    version: Name = Field("current", description="Model version or alias whose vectors are used.")
    queries: dict[Label, CandidateQuery] = Field(default_factory=dict, description="The queries, by name.")
    blends: dict[Label, BlendConfig] = Field(default_factory=dict, description="Merged lists, by name.")
    recall_at: OneOrMore[Annotated[int, Field(ge=1)]] = Field([10, 100], description="The k of recall@k.")
    ann: AnnConfig = Field(default_factory=lambda: AnnConfig(), description="The index.")
    mixtures: MixturesConfig = Field(default_factory=lambda: MixturesConfig(), description="The clusters.")
