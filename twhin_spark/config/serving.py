"""The section `serving` of a config: what is served, how it is ranked, and the limits of the service."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from twhin_spark.config.base import Name, Positive, Section

Finite = Annotated[float, Field(allow_inf_nan=False)]


class Score(Section):
    """How close a source and a target are."""

    measure: Name | None = Field(
        None,
        description="dot, cosine, euclidean or manhattan; of sparse families dot, cosine, jaccard, log_cosine or "
        "exp_scaled_cosine. Null: the relation's comparator, else cosine.",
    )
    relation: Name | None = Field(None, description="Relation that the source is seen through; null: plain.")
    family: Name = Field("twhin", description="Family of representations.")
    weight: Finite = Field(1.0, description="Factor of this part in a sum.")


class RankingScore(Score):
    missing: Finite | None = Field(None, description="The part where an entity is unknown; null: no rank.")


class RankingSignal(Section):
    """How close a candidate is to what the user did last."""

    signal: Name = Field(description="Signal type, as in the request.")
    window_days: Positive = Field(description="Age in days that a signal may have.")
    take: Literal["max", "average"] = Field("max", description="Of the scores with the last 10 signals.")
    measure: Name | None = Field(None, description="As of a score.")
    family: Name = Field("twhin", description="Family of representations.")
    weight: Finite = Field(1.0, description="Factor of this part in the sum.")
    missing: Finite | None = Field(None, description="The part without such signals; null: no rank.")


class RankingFeature(Section):
    """A feature that the request gives for each candidate; `degree` is known where the request does not give it."""

    weight: Finite = Field(description="Factor of this part in the sum.")
    log: bool = Field(False, description="Take ln(1 + value), of a value that is not below zero.")
    missing: Finite | None = Field(None, description="The part without a value; null: no rank.")


class RankingConfig(Section):
    """A weighted sum of named parts."""

    scores: dict[Name, RankingScore] = Field(default_factory=dict, description="Scores of user and candidate.")
    signals: dict[Name, RankingSignal] = Field(default_factory=dict, description="Scores of signals and candidate.")
    features: dict[Name, RankingFeature] = Field(default_factory=dict, description="Features, by their name.")

    @model_validator(mode="after")
    def _parts_have_names_of_their_own(self) -> RankingConfig:
        names = [*self.scores, *self.signals, *self.features]
        if not names or len(set(names)) < len(names):
            raise ValueError("one or more parts, each with a name of its own")
        return self


class FamilyTable(Section):
    """A table of representations: entity_type, entity_id, model_version and embedding; degree where it is known.

    An embedding is an array of floats or, in a sparse family, a map of community to weight. All rows are one version's.
    """

    table: Name = Field(description="Folder or URI of the Delta table.")


class ServingConfig(Section):
    """The service, `twhin-spark serve`."""

    host: Name = Field("127.0.0.1", description="Address that the service binds to.")
    port: int = Field(8080, ge=0, le=65_535, description="Port that it binds to; 0: any that is free.")
    token_file: Name | None = Field(None, description="File with the bearer token that callers send; null: none.")
    store: Name | None = Field(None, description="Local folder of the stores; null: OUTPUT/serving.")
    keep: int = Field(2, ge=1, description="Stores of a family that stay, the current one among them.")
    verify: bool = Field(True, description="Check the stores' checksums before they are served, not only the lengths.")
    versions: list[Name] = Field(
        default_factory=list, description="Model versions or aliases that are served beside current."
    )
    families: dict[Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_-]*$")], FamilyTable] = Field(
        default_factory=dict, description="Families beside `twhin`, which is what `publish` writes."
    )
    poll_seconds: Positive = Field(10.0, description="Seconds between two looks at the tables for a new version.")
    max_entities: int = Field(1000, ge=1, description="Entities, pairs or candidates in one request.")
    max_neighbours: int = Field(1000, ge=1, description="Neighbours in one answer.")
    max_body_bytes: int = Field(1_048_576, ge=1, description="Bytes of one request's body.")
    timeout_seconds: Positive = Field(10.0, description="Seconds that a request may take, its body's arrival included.")
    max_connections: int = Field(1024, ge=1, description="Open connections; a request beyond them is answered 503.")
    search_threads: int = Field(1, ge=1, description="Threads that search neighbours; each takes a core.")
    log_requests: bool = Field(True, description="A log line for every request; false: only for answers of 5xx.")
    rankings: dict[Name, RankingConfig] = Field(default_factory=dict, description="Weighted sums that callers rank by.")
