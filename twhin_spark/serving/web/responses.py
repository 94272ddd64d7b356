"""The bodies of responses, as the OpenAPI page shows them. A nested object ends in `Entry`, a body in `Response`."""

from __future__ import annotations

from datetime import datetime

from pydantic import BaseModel, Field

Entity = tuple[str, str]
Numbers = list[float | None]
Representation = list[float] | dict[str, float]


class ErrorResponse(BaseModel):
    """An error."""

    error: str = Field(description="One line: what is wrong, and what is required")


class FamilyResponse(BaseModel):
    """A response from one version of one family."""

    family: str
    model_version: str = Field(description="Version that the whole response comes from")


class RepresentationResponse(FamilyResponse):
    """The representation of one entity."""

    entity: Entity
    representation: Representation = Field(description="A vector, or weights by community")
    degree: int | None = Field(description="Number of distinct training edges of the entity")


class RepresentationsResponse(FamilyResponse):
    """The representations of many entities."""

    representations: list[Representation | None] = Field(description="In the order of the request; null: unknown")


class FoldInResponse(FamilyResponse):
    """The vector of a new entity."""

    representation: list[float] | None = Field(description="Mean of the known neighbours; null if there are none")
    neighbours: int = Field(description="Number of edges whose other end is known")


class NeighbourEntry(BaseModel):
    """A neighbour."""

    entity: Entity
    score: float
    degree: int | None


class NeighboursResponse(FamilyResponse):
    """The neighbours of an entity or of a vector."""

    target_type: str
    measure: str
    method: str = Field(description="exact, or ann if an approximate index has proposed the neighbours")
    neighbours: list[NeighbourEntry] = Field(description="Highest score first")


class VersionEntry(BaseModel):
    """A version that is served."""

    model_version: str
    aliases: list[str]
    table_version: int = Field(description="Delta version that holds its rows")
    kind: str = Field(description="dense or sparse")
    dim: int = Field(description="Length of the vectors, or number of communities")
    entities: dict[str, int] = Field(description="Number of entities by type")
    examples: dict[str, list[str]] = Field(description="A few ids by type")
    relations: dict[str, tuple[str, str]] = Field(description="Source and target type by relation")
    built_at: datetime


class FamilyEntry(BaseModel):
    """A family and its versions."""

    family: str
    current: str | None = Field(description="Current model version")
    problems: list[str] = Field(description="Reasons why a newer or another version is not served")
    versions: list[VersionEntry] = Field(description="Latest first")


class VersionsResponse(BaseModel):
    """The families and versions that are served."""

    families: list[FamilyEntry]


class ScorerResponse(BaseModel):
    """A response from one version of each family."""

    model_versions: dict[str, str] = Field(description="Version by family")


class ScoresResponse(ScorerResponse):
    """The scores of pairs."""

    scores: Numbers = Field(description="In the order of the request; null: an entity is unknown")
    parts: list[Numbers] | None = Field(description="Each score before its weight, in the order of the request")


class WindowEntry(BaseModel):
    """The signal features of one window."""

    max: Numbers = Field(description="By candidate; null: the candidate or all signals of the window are unknown")
    average: Numbers
    signals: int = Field(description="Number of signals in the window, at most 10")


class SignalFeaturesResponse(ScorerResponse):
    """The signal features of candidates."""

    features: dict[str, dict[str, WindowEntry]] = Field(description="By signal type, then by window in days")


class RankingResponse(ScorerResponse):
    """The scores and ranks of candidates."""

    ranking: str
    scores: Numbers = Field(description="In the order of the request; null: a part is missing")
    ranks: list[int | None] = Field(description="1 for the highest score")
    parts: dict[str, Numbers] | None
