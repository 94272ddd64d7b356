"""Ranking of the test queries of several relations under the compared models, after these are tuned."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial

from twhin_spark.config import Config
from twhin_spark.evaluation.compared_models import ComparedModels
from twhin_spark.evaluation.comparison import Comparison, ModelName, rank_test_queries, tune_models
from twhin_spark.evaluation.current_model import current_model
from twhin_spark.evaluation.known_positives import KnownPositives, QuerySet, mirror_buckets, write_known_positives
from twhin_spark.evaluation.queries import Queries
from twhin_spark.evaluation.ranking import Ranks, rank_queries
from twhin_spark.evaluation.scratch import Scratch
from twhin_spark.tables.delta import TableStore
from twhin_spark.tables.schemas import EDGE_BUCKETS, ENTITIES
from twhin_spark.training.trained_run import TrainedRun

QuerySets = tuple[QuerySet, QuerySet]  # of the test split and of the validation split


@dataclass(frozen=True)
class RelationRanking:
    """Ranks the queries of relations under a run's model and its baselines. Files are written to `scratch`."""

    store: TableStore
    config: Config
    run: TrainedRun
    scratch: Scratch
    progress: Callable[[str], None]

    def query_sets(self, name: str, test: Queries, validation: Queries) -> QuerySets:
        """Return the test and the validation queries of a relation, by name, as query sets."""
        relation, number = self.config.relations[name], self.run.graph.relations.index(name)
        excludes_source = relation.source == relation.target and self.config.graph.self_loops == "drop"
        return (
            QuerySet(f"test-{number}", number, test, excludes_source),
            QuerySet(f"tune-{number}", number, validation, excludes_source),
        )

    def rank(
        self, query_sets: Mapping[str, QuerySets], *, mirrored: bool = False, baselines_only: bool = False
    ) -> dict[str, dict[ModelName, Ranks]]:
        """Tune the models on the validation queries and rank the positives of the test queries.

        Parameters
        ----------
        query_sets
            The query sets by relation; each has test queries.
        mirrored
            True if the queries are of mirrored edges, whose positives are sources.
        baselines_only
            True to leave out the trained model.

        Returns
        -------
        dict
            By relation and model, the ranks of the test queries' positives.
        """
        if not query_sets:
            return {}
        graph = self.run.graph
        known_positives = KnownPositives(self.scratch.folder("mirrored") if mirrored else self.scratch)
        buckets = self.store.read(EDGE_BUCKETS, graph.tables["edge_buckets"])
        if mirrored:
            buckets = mirror_buckets(buckets)
        relations = [self.config.relations[name] for name in graph.relations]
        target_partitions = write_known_positives(
            self.store.read(ENTITIES, graph.tables["entities"]),
            buckets,
            known_positives,
            [relation.source if mirrored else relation.target for relation in relations],
            [query_set for pair in query_sets.values() for query_set in pair],
        )
        current = None if baselines_only else current_model(self.store, self.config, self.run)
        compared = ComparedModels(self.config, self.run, buckets, known_positives, mirrored, current)
        comparisons = []
        for name, (test, validation) in query_sets.items():
            models = compared.for_relation(test, validation, self.progress)
            if baselines_only:
                del models["twhin"]
            with_als = self.config.evaluation.als is not None
            comparisons.append(Comparison(name, test, validation, models, with_als))
        rank = partial(
            rank_queries,
            self.store.spark,
            known_positives,
            partitions=graph.partitions,
            target_partitions=target_partitions,
        )
        ranks_of = rank_test_queries(tune_models(comparisons, rank, self.progress), rank)
        return dict(zip(query_sets, ranks_of, strict=True))
