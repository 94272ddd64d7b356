"""The section `serving` of a config: served families, rankings, and the limits of the service."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from twhin_spark.config.base import Location, Name, Positive, Section, SparseFamily

Finite = Annotated[float, Field(allow_inf_nan=False)]


class Score(Section):
    """Similarity of a source and a target."""

    measure: Name | None = Field(
        None,
        description="dot, cosine, euclidean or manhattan; of sparse families also jaccard, fuzzy_jaccard, log_cosine "
        "or exp_scaled_cosine. Null: the relation's comparator, else cosine.",
    )
    relation: Name | None = Field(None, description="Relation that changes the source vector; null: none.")
    family: Name = Field("twhin", description="Family of representations.")
    target_family: Name | None = Field(
        None, description="Family of the target's representation, of the same kind; null: the same as `family`."
    )
    weight: Finite = Field(1.0, description="Factor of this part in the sum.")


class RankingScore(Score):
    missing: Finite | None = Field(
        None, description="Value of this part if an entity is unknown; null: the candidate gets no rank."
    )


class RankingSignal(Section):
    """Similarity of a candidate to the user's latest signals."""

    signal: Name = Field(description="Type of the signals, as in the request.")
    window_days: Positive = Field(description="Largest age of a signal in days.")
    take: Literal["max", "average"] = Field(
        "max", description="Maximum or average of the scores with the last 10 signals."
    )
    measure: Name | None = Field(None, description="Similarity measure, as in `scores`.")
    family: Name = Field("twhin", description="Family of representations.")
    target_family: Name | None = Field(None, description="Family of the candidate's representation, as in `scores`.")
    weight: Finite = Field(1.0, description="Factor of this part in the sum.")
    missing: Finite | None = Field(
        None, description="Value of this part without such signals; null: the candidate gets no rank."
    )


class RankingFeature(Section):
    """A feature that the request gives for each candidate. `degree` need not be given."""

    weight: Finite = Field(description="Factor of this part in the sum.")
    log: bool = Field(False, description="Use ln(1 + value); the value must be 0 or more.")
    missing: Finite | None = Field(
        None, description="Value of this part without a value; null: the candidate gets no rank."
    )


class RankingConfig(Section):
    """A weighted sum of named parts."""

    scores: dict[Name, RankingScore] = Field(default_factory=dict, description="Scores of user and candidate.")
    signals: dict[Name, RankingSignal] = Field(default_factory=dict, description="Scores of signals and candidate.")
    features: dict[Name, RankingFeature] = Field(default_factory=dict, description="Features, by name.")

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

    table: Location = Field(description="Folder or URI of the Delta table.")


class ServingConfig(Section):
    """The service, `twhin-spark serve`."""

    host: Name = Field("127.0.0.1", description="Address that the service listens on.")
    port: int = Field(8080, ge=0, le=65_535, description="Port that it listens on; 0: any free port.")
    token_file: Location | None = Field(
        None, description="File with the bearer token that callers must send; null: no token."
    )
    store: Location | None = Field(None, description="Local folder of the stores; null: OUTPUT/serving.")
    keep: int = Field(2, ge=1, description="Number of stores of a family that are kept, including the current one.")
    verify: bool = Field(
        True, description="Check the stores' checksums before they are served; false: only their lengths."
    )
    versions: list[Name] = Field(
        default_factory=list, description="Model versions or aliases that are served in addition to current."
    )
    families: dict[Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_-]*$")], FamilyTable] = Field(
        default_factory=dict, description="Families in addition to `twhin`, which `publish` writes."
    )
    communities: list[SparseFamily] = Field(
        default_factory=list,
        description="Families of the job `communities` that are served, by the names of their tables.",
    )
    poll_seconds: Positive = Field(10.0, description="Seconds between two checks of the tables for a new version.")
    max_entities: int = Field(1000, ge=1, description="Largest number of entities, pairs or candidates in one request.")
    max_neighbours: int = Field(1000, ge=1, description="Largest number of neighbours in one answer.")
    max_body_bytes: int = Field(1_048_576, ge=1, description="Largest size of a request's body in bytes.")
    timeout_seconds: Positive = Field(
        10.0, description="Longest time of a request in seconds, including the transfer of its body."
    )
    max_connections: int = Field(
        1024, ge=1, description="Largest number of open connections; a request beyond it is answered with 503."
    )
    search_threads: int = Field(1, ge=1, description="Number of threads that search neighbours; each uses a core.")
    log_requests: bool = Field(True, description="Write a log line for every request; false: only for answers of 5xx.")
    rankings: dict[Name, RankingConfig] = Field(default_factory=dict, description="Weighted sums that callers rank by.")
