"""The section `communities` of a config: communities of producers, and the sparse representations made from them."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from twhin_spark.config.base import Name, NotNegative, OneOrMore, Positive, Section

Weights = Annotated[dict[Name, Positive], Field(min_length=1)]


class ConsumersConfig(Section):
    """The edges by which consumers, their sources, are interested in producers, their targets."""

    relations: Weights = Field(
        description="Weights by relation, all of the same entity types: an edge counts with its own weight times this."
    )
    edge_weights: bool = Field(True, description="Use the edges' weights; false: each edge weighs 1.")


class SimilarityConfig(Section):
    """The similarity of two producers: the cosine of their sets of consumers."""

    min_consumers: int = Field(5, ge=1, description="Least number of consumers of a producer that gets a community.")
    max_producers: int = Field(
        1000,
        ge=2,
        description="Most edges of a consumer that count here, those with the largest weights; others are cut, and "
        "their number is reported.",
    )
    neighbours: int = Field(
        400,
        ge=1,
        description="Number of most similar producers that are kept for each; a pair stays if either keeps it.",
    )


class KnownForConfig(Section):
    """The communities: each producer belongs to at most one."""

    resolution: OneOrMore[Positive] = Field(
        [10.0],
        description="Factor α on the similarity in the objective; the larger, the larger the communities. Of several "
        "values, the recall of validation edges picks one.",
    )
    recall_at: int = Field(100, ge=1, description="Value of k of the recall@k that picks the resolution.")
    method: Literal["levels", "metropolis"] = Field(
        "levels",
        description="Search. levels: moves of producers and then of whole communities, to the largest gain; "
        "metropolis: random moves of producers alone, as in SimClusters.",
    )
    iterations: int = Field(
        10, ge=1, le=1000, description="Most passes over all levels, or epochs if the method is metropolis."
    )
    start: Literal["current", "nothing"] = Field(
        "current", description="Where the search starts: the communities of the current version, or single producers."
    )
    seed: int = Field(0, ge=0, description="Seed of the random moves.")


class InterestedInConfig(Section):
    """The communities of each consumer: the sums of its weights for their producers."""

    social_proof: int = Field(
        1, ge=1, description="Least number of a community's producers that a consumer has edges to."
    )
    top: int = Field(50, ge=1, le=10_000, description="Most communities of a consumer, those with the largest weights.")


class ProducersConfig(Section):
    """The communities of each producer: the cosines of its consumers' weights and their interest in the community."""

    least_cosine: NotNegative = Field(0.01, description="Least cosine that is kept.")
    top: int = Field(60, ge=1, le=10_000, description="Most communities of a producer.")
    norm: float = Field(
        1.0,
        ge=0,
        le=1,
        description="Power of the norm of the consumers' weights that multiplies the cosines, so that scores grow with "
        "popularity: 0 is the cosine, 1 the dot product.",
    )


class ItemsConfig(Section):
    """The communities of each item: the sums of the interests of those who engaged with it."""

    relations: Weights = Field(description="Weights by relation from consumers to items; all of one target type.")
    authors: Name | None = Field(
        None, description="Relation from consumers to the items that they made, whose own engagement does not count."
    )
    half_life_hours: Positive | None = Field(
        8.0,
        description="Age in hours, counted back from the last training event, at which an engagement's weight is "
        "halved; null: no decay.",
    )
    min_engagements: int = Field(8, ge=1, description="Least number of consumers who engaged with an item.")
    least_weight: NotNegative = Field(0.02, description="Least weight of a community that is kept.")
    top: int = Field(50, ge=1, le=10_000, description="Most communities of an item.")


class IndexConfig(Section):
    """The index from communities to their producers and items."""

    top: int = Field(2000, ge=1, description="Most entities of each type in a community's list.")


class CommunitiesConfig(Section):
    """Communities and sparse representations, `twhin-spark communities`."""

    consumers: ConsumersConfig = Field(description="The edges from consumers to producers.")
    similarity: SimilarityConfig = Field(
        default_factory=lambda: SimilarityConfig(), description="Similarity of producers."
    )
    known_for: KnownForConfig = Field(default_factory=lambda: KnownForConfig(), description="Search for communities.")
    interested_in: InterestedInConfig = Field(
        default_factory=lambda: InterestedInConfig(), description="Representations of consumers."
    )
    producers: ProducersConfig = Field(
        default_factory=lambda: ProducersConfig(), description="Representations of producers."
    )
    items: ItemsConfig | None = Field(None, description="Representations of items; null: none.")
    index: IndexConfig = Field(default_factory=lambda: IndexConfig(), description="Entities by community.")
