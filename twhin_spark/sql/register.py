"""SQL over published vectors: views, and functions that score with the kernels of the service. One call registers all.

>>> register(spark, config)
>>> spark.sql("SELECT twhin_score(u.embedding, 'favorite', t.embedding) FROM twhin_user AS u, twhin_tweet AS t")
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from pyspark.sql import SparkSession

from twhin_spark.config import Config
from twhin_spark.errors import InputError
from twhin_spark.kernels.pair_scores import DENSE_MEASURES, SPARSE_MEASURES
from twhin_spark.sql.functions import measure_function, through_function
from twhin_spark.tables.delta import TableStore
from twhin_spark.tables.schemas import EMBEDDINGS, MODEL_VERSIONS, RELATIONS

FOLDER = Path(__file__).parent
VIEWS = ("twhin_vectors", "twhin_relations", "twhin_versions")
_MEASURES = {**DENSE_MEASURES, **SPARSE_MEASURES}
FUNCTIONS = (*(f"twhin_{measure}" for measure in _MEASURES), "twhin_score")


def register(spark: SparkSession, config: Config) -> list[str]:
    """Registers the views of a config's tables and the functions in the session; returns their names.

    The views are those of `views.sql`, and `twhin_TYPE` for each entity type. `twhin_MEASURE(x, y)` scores two vectors,
    or two maps of community to weight; `twhin_score(source, relation, target)` is the model's own score. A null on
    either side gives a null. Raises InputError where nothing is published.
    """
    store = TableStore(spark, config.output)
    for table in (EMBEDDINGS, RELATIONS, MODEL_VERSIONS):
        if not store.exists(table):
            raise InputError(f"{store.path(table)}: no Delta table; `twhin-spark publish` writes it")
    tables = store.path(EMBEDDINGS).rpartition("/")[0]
    run_file(spark, FOLDER / "views.sql", {"tables": tables})
    for entity_type in config.entity_types:
        run_file(spark, FOLDER / "views_by_type.sql", {"type": entity_type})
    for measure in _MEASURES:
        spark.udf.register(f"twhin_{measure}", measure_function(measure))
    spark.udf.register("twhin_score_through", through_function())
    run_file(spark, FOLDER / "twhin_score.sql", {})
    return [*VIEWS, *(f"twhin_{entity_type}" for entity_type in config.entity_types), *FUNCTIONS]


def run_file(spark: SparkSession, path: Path, variables: Mapping[str, str]) -> None:
    """Runs the statements of a file of SQL, with ${NAME} replaced as `spark-sql --hivevar NAME=VALUE` does."""
    lines = [line for line in path.read_text(encoding="utf-8").splitlines() if not line.startswith("--")]
    text = "\n".join(lines)
    for name, value in variables.items():
        text = text.replace(f"${{{name}}}", value)
    for statement in text.split(";\n"):
        if statement.strip(" \n;"):
            spark.sql(statement.strip(" \n;"))
