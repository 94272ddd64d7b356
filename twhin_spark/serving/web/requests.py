"""The bodies of requests. A nested object is named after its content, a whole body ends in `Request`."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from twhin_spark.config.serving import Finite, Score
from twhin_spark.representations.published_family import DEFAULT_FAMILY
from twhin_spark.representations.version_lookup import CURRENT

Text = Annotated[str, Field(max_length=65_536)]  # with a bound, pydantic refuses invalid Unicode
Entity = Annotated[tuple[Text, Text], Field(description="Entity type and entity id", examples=[("user", "42")])]
Component = Annotated[float, Field(ge=-1e15, le=1e15, allow_inf_nan=False)]  # so that no product overflows float32
Days = Annotated[float, Field(gt=0, le=36_500)]


def unix_seconds(time: datetime) -> float:
    """Convert a time to Unix seconds. A time without a zone is in UTC."""
    return (time if time.tzinfo else time.replace(tzinfo=UTC)).timestamp()


class _Body(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class FamilyRequest(_Body):
    """A request to one version of one family."""

    family: str = Field(DEFAULT_FAMILY, description="Family of representations")
    version: str = Field(CURRENT, description="Model version or alias")


class RepresentationsRequest(FamilyRequest):
    """A request for the representations of many entities."""

    entities: list[Entity] = Field(description="The entities, in the order of the response; duplicates are allowed")
    space: str | None = Field(None, description="Model version in whose space vectors are returned; null: as they are")


class NewEdgeBody(_Body):
    """An edge of a new entity to a known one."""

    relation: Text
    entity: Entity
    weight: float = Field(1.0, gt=0, le=1e9, description="Weight of the edge")
    side: Literal["source", "target"] | None = Field(
        None, description="End at which the new entity is; null: as the types say, else source"
    )


class FoldInRequest(FamilyRequest):
    """A request for a vector of a new entity, which is not stored."""

    entity_type: Text = Field(description="Type of the new entity")
    edges: list[NewEdgeBody] = Field(min_length=1, description="Its edges to known entities")


class NeighboursRequest(FamilyRequest):
    """A request for the neighbours of an entity or of a vector."""

    entity: Entity | None = Field(None, description="Entity whose neighbours are returned; it is never one of them")
    vector: list[Component] | None = Field(None, description="A vector of the family's dimension, instead of an entity")
    target_family: str | None = Field(
        None, description="Family that the neighbours are of, of the same kind, in its current version; null: `family`"
    )
    target_type: str | None = Field(None, description="Type of the neighbours; null: the relation's, or the entity's")
    relation: str | None = Field(None, description="Relation that leads to the neighbours; null: plain similarity")
    measure: str | None = Field(None, description="cosine or dot; null: the relation's comparator, else cosine")
    k: int = Field(10, ge=1, description="Number of neighbours")
    exact: bool = Field(False, description="Score every entity, even if there is an approximate index")

    @model_validator(mode="before")
    @classmethod
    def _entity_or_vector(cls, fields: Any) -> Any:
        if isinstance(fields, dict) and (fields.get("entity") is None) == (fields.get("vector") is None):
            raise ValueError("either entity or vector is required, and not both")
        return fields


class ScorerRequest(_Body):
    """A request for scores from one version of each family."""

    versions: dict[str, str] = Field(
        default_factory=dict, description="Model version or alias by family; the current version of other families"
    )


class ScoresRequest(ScorerRequest):
    """A request for a weighted sum of scores."""

    scores: list[Score] = Field(
        default_factory=lambda: [Score()], min_length=1, max_length=32, description="Scores to add with their weights"
    )
    parts: bool = Field(False, description="Return each score, too")


class PairScoresRequest(ScoresRequest):
    """A request for the scores of pairs."""

    pairs: list[tuple[Entity, Entity]] = Field(description="Source and target of each pair")


class ListScoresRequest(ScoresRequest):
    """A request for the scores of one source with many targets."""

    source: Entity
    targets: list[Entity] = Field(description="Targets, each of which is scored with the source")


class SignalBody(_Body):
    """An interaction of the user with an entity."""

    entity: Entity
    at: datetime = Field(description="Time: ISO 8601 (UTC if it has no zone) or Unix seconds")


class UserSignalsRequest(ScorerRequest):
    """A request with the interactions of a user."""

    signals: dict[Text, list[SignalBody]] = Field(default_factory=dict, description="The user's interactions by type")
    now: datetime | None = Field(None, description="End of the windows; null: the service's clock")


class SignalFeaturesRequest(UserSignalsRequest):
    """A request for the signal features of candidates."""

    candidates: list[Entity]
    windows_days: list[Days] = Field([1, 7, 30], min_length=1, max_length=16, description="Windows, in days")
    score: Score = Field(default_factory=Score, description="Score of a signal (source) and a candidate (target)")


class CandidateBody(_Body):
    """A candidate with its features."""

    entity: Entity
    features: dict[Text, Finite] = Field(default_factory=dict, description="Values of the ranking's features")


class RankingRequest(UserSignalsRequest):
    """A request for the ranks of candidates."""

    user: Entity
    candidates: list[CandidateBody]
    parts: bool = Field(False, description="Return each part before its weight, too")
