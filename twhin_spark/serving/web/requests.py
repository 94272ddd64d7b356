"""What callers ask: the bodies of requests."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, model_validator

from twhin_spark.config.serving import Finite, Score
from twhin_spark.representations.catalogue import CURRENT
from twhin_spark.serving.store import DEFAULT_FAMILY

Text = Annotated[str, Field(max_length=65_536)]  # a bound makes pydantic refuse what is no Unicode
Entity = Annotated[tuple[Text, Text], Field(description="Entity type and entity id", examples=[("user", "42")])]
Component = Annotated[float, Field(ge=-1e15, le=1e15, allow_inf_nan=False)]  # so that no product overflows float32
Days = Annotated[float, Field(gt=0, le=36_500)]


def unix_seconds(time: datetime) -> float:
    """A time without a zone is UTC."""
    return (time if time.tzinfo else time.replace(tzinfo=UTC)).timestamp()


class Question(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class VersionedQuestion(Question):
    family: str = Field(DEFAULT_FAMILY, description="Family of representations")
    version: str = Field(CURRENT, description="Model version or alias")


class Representations(VersionedQuestion):
    entities: list[Entity] = Field(description="In the order of the answer; duplicates are allowed")


class Neighbours(VersionedQuestion):
    entity: Entity | None = Field(None, description="Whose neighbours; it is never among them")
    vector: list[Component] | None = Field(None, description="Instead of an entity: a vector of the family's dimension")
    target_type: str | None = Field(None, description="Type of the neighbours; null: the relation's, or the entity's")
    relation: str | None = Field(None, description="Relation that leads to the neighbours; null: plain")
    measure: str | None = Field(None, description="cosine or dot; null: the relation's comparator, else cosine")
    k: int = Field(10, ge=1, description="How many")
    exact: bool = Field(False, description="Score every entity, whatever index there is")

    @model_validator(mode="before")
    @classmethod
    def _one_of_entity_and_vector(cls, given: Any) -> Any:
        if isinstance(given, dict) and (given.get("entity") is None) == (given.get("vector") is None):
            raise ValueError("one of entity and vector")
        return given


class ScorerQuestion(Question):
    versions: dict[str, str] = Field(
        default_factory=dict, description="Model version or alias by family; current where a family is not named"
    )


class ScoresQuestion(ScorerQuestion):
    scores: list[Score] = Field(
        default_factory=lambda: [Score()], min_length=1, max_length=16, description="Added up with their weights"
    )
    parts: bool = Field(False, description="Answer with each score, too")


class Pairs(ScoresQuestion):
    pairs: list[tuple[Entity, Entity]] = Field(description="Source and target of each pair")


class Listed(ScoresQuestion):
    source: Entity
    targets: list[Entity] = Field(description="Each is scored with the source")


class Signal(Question):
    entity: Entity
    at: datetime = Field(description="When: ISO 8601 (UTC where it says no zone) or Unix seconds")


class SignalsQuestion(ScorerQuestion):
    signals: dict[Text, list[Signal]] = Field(default_factory=dict, description="What the user did, by signal type")
    now: datetime | None = Field(None, description="End of the windows; null: the service's clock")


class Signals(SignalsQuestion):
    candidates: list[Entity]
    windows_days: list[Days] = Field([1, 7, 30], min_length=1, max_length=16, description="Windows, in days")
    score: Score = Field(default_factory=Score, description="Of a signal, the source, and a candidate, the target")


class Candidate(Question):
    entity: Entity
    features: dict[Text, Finite] = Field(default_factory=dict, description="Values of the ranking's features")


class Ranking(SignalsQuestion):
    user: Entity
    candidates: list[Candidate]
    parts: bool = Field(False, description="Answer with each part, before its weight")
