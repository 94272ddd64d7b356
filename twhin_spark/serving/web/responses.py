"""What callers get: the bodies of answers as the OpenAPI page shows them."""

from __future__ import annotations

from datetime import datetime

from pydantic import BaseModel, Field

Entity = tuple[str, str]
Numbers = list[float | None]
Representation = list[float] | dict[str, float]


class Problem(BaseModel):
    error: str = Field(description="What was found, what is allowed")


class VersionedAnswer(BaseModel):
    family: str
    model_version: str = Field(description="The version that all of the answer comes from")


class OneRepresentation(VersionedAnswer):
    entity: Entity
    representation: Representation = Field(description="A vector, or weights by community")
    degree: int | None = Field(description="Distinct training edges at the entity")


class ManyRepresentations(VersionedAnswer):
    representations: list[Representation | None] = Field(description="In the order of the question; null: unknown")


class Neighbour(BaseModel):
    entity: Entity
    score: float
    degree: int | None


class Neighbours(VersionedAnswer):
    target_type: str
    measure: str
    method: str = Field(description="exact, or ann where an index has proposed them")
    neighbours: list[Neighbour] = Field(description="Highest score first")


class Version(BaseModel):
    model_version: str
    aliases: list[str]
    table_version: int = Field(description="Delta version that holds it")
    kind: str = Field(description="dense or sparse")
    dim: int = Field(description="Length of the vectors, or number of communities")
    entities: dict[str, int] = Field(description="Entities by type")
    examples: dict[str, list[str]] = Field(description="A few ids by type, to begin with")
    relations: dict[str, tuple[str, str]] = Field(description="Source and target type by relation")
    built_at: datetime


class Family(BaseModel):
    family: str
    current: str | None = Field(description="Current model version")
    problems: list[str] = Field(description="Why a newer or another version is not served")
    versions: list[Version] = Field(description="Latest first")


class Versions(BaseModel):
    families: list[Family]


class ScorerAnswer(BaseModel):
    model_versions: dict[str, str] = Field(description="By family, the version that all of its part comes from")


class Scores(ScorerAnswer):
    scores: Numbers = Field(description="In the order of the question; null: an entity is unknown")
    parts: list[Numbers] | None = Field(description="Each score before its weight, in the order of the question")


class Window(BaseModel):
    max: Numbers = Field(description="By candidate; null: it is unknown, or no signal of the window is known")
    average: Numbers
    signals: int = Field(description="Signals in the window, 10 at most")


class Signals(ScorerAnswer):
    features: dict[str, dict[str, Window]] = Field(description="By signal type, then by window in days")


class Ranking(ScorerAnswer):
    ranking: str
    scores: Numbers = Field(description="In the order of the question; null: a part is missing")
    ranks: list[int | None] = Field(description="1 is the highest score")
    parts: dict[str, Numbers] | None
