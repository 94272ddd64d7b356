"""SQL over published vectors: views, and functions that score with the kernels of the service.

>>> register(spark, config)
>>> spark.sql("SELECT twhin_score(u.embedding, 'favorite', t.embedding) FROM twhin_user AS u, twhin_tweet AS t")
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from pyspark.sql import SparkSession

from twhin_spark.config import Config
from twhin_spark.kernels.pair_scores import DENSE_MEASURES, SPARSE_MEASURES
from twhin_spark.representations.published_family import not_published
from twhin_spark.representations.version_lookup import CURRENT
from twhin_spark.sql.functions import measure_function, relation_function
from twhin_spark.sql.pinned_version import pin_version, pinned_tables
from twhin_spark.tables.delta import TableStore
from twhin_spark.tables.schemas import COMMUNITY_TABLES, COMMUNITY_VERSIONS, EMBEDDINGS, MODEL_VERSIONS, RELATIONS

FOLDER = Path(__file__).parent
VIEWS = ("twhin_vectors", "twhin_relations", "twhin_versions")
_MEASURES = {**DENSE_MEASURES, **SPARSE_MEASURES}
FUNCTIONS = (*(f"twhin_{measure}" for measure in _MEASURES), "twhin_score")


def register(spark: SparkSession, config: Config, *, space: str | None = None) -> list[str]:
    """Register views and functions in the session and return their names.

    The views are those of `views.sql`, `twhin_TYPE` for each entity type, and `twhin_TABLE` for each table of the
    communities' current version, such as `twhin_known_for`, if there is one. `twhin_MEASURE(x, y)` scores two vectors,
    or two maps of community to weight. `twhin_score(source, relation, target)` is the model's score. If an argument is
    null, so is the score.

    Parameters
    ----------
    spark
        The session.
    config
        Config whose output is read.
    space
        Model version or tag in whose space the view `twhin_vectors_in_space` has the vectors; None: no such view.

    Raises
    ------
    InputError
        Nothing is published, or no map leads to the space.
    """
    store = TableStore(spark, config.output)
    for table in (EMBEDDINGS, RELATIONS, MODEL_VERSIONS):
        if not store.exists(table):
            raise not_published(store.path(table))
    tables = store.path(EMBEDDINGS).rpartition("/")[0]
    run_file(spark, FOLDER / "views.sql", {"tables": tables})
    for entity_type in config.entity_types:
        run_file(spark, FOLDER / "views_by_type.sql", {"type": entity_type})
    views = _community_views(store)
    for measure in _MEASURES:
        spark.udf.register(f"twhin_{measure}", measure_function(measure))
    spark.udf.register("twhin_score_through", relation_function())
    if space is not None:
        in_space = pin_version(spark, config, space=space)
        in_space.rows.createOrReplaceTempView("twhin_vectors_in_space")
    run_file(spark, FOLDER / "twhin_score.sql", {})
    return [*VIEWS, *views, *(f"twhin_{entity_type}" for entity_type in config.entity_types), *FUNCTIONS]


def _community_views(store: TableStore) -> list[str]:
    """Create a view of each table of the communities' current version, such as `twhin_known_for`; return the names."""
    if not store.exists(COMMUNITY_VERSIONS):
        return []
    _, tables = pinned_tables(store, CURRENT)
    views = []
    for table in COMMUNITY_TABLES:
        if table.name in tables:
            store.read(table, tables[table.name]).createOrReplaceTempView(f"twhin_{table.name}")
            views.append(f"twhin_{table.name}")
    return views


def run_file(spark: SparkSession, path: Path, variables: Mapping[str, str]) -> None:
    """Run the statements of a file of SQL, with ${NAME} replaced as `spark-sql --hivevar NAME=VALUE` does."""
    lines = [line for line in path.read_text(encoding="utf-8").splitlines() if not line.startswith("--")]
    text = "\n".join(lines)
    for name, value in variables.items():
        text = text.replace(f"${{{name}}}", value)
    for statement in text.split(";\n"):
        if statement.strip(" \n;"):
            spark.sql(statement.strip(" \n;"))
