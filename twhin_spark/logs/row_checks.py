"""Which rows are events, and why the others are not: pure functions from DataFrame to DataFrame.

A judged row has an outcome: accepted, rejected (with a reason), left_out (where, window), or header. The reasons, of
which a row gets the first that applies:

    malformed_line          not a row of the format: too few or too many fields, an open quote or brace, a value that
                            does not fit the type that `columns` gives it
    missing_source_id       null, empty or blank
    missing_target_id
    unknown_relation        not under `relations`, nor an `undone_by`; null and empty too
    unparsable_timestamp    null, or neither a time nor a number
    timestamp_out_of_range  before graph.earliest, or from graph.latest on
    unparsable_weight       null or not a number
    non_finite_weight       NaN or infinite
    non_positive_weight     zero or less
    weight_out_of_range     above 1e9, which would drown every other edge
    unknown_split           not train, validation or test
    missing_event_id        null, empty or blank

A row whose timestamp is sound and outside the window is left out, whatever else is wrong with it: a backfill of one day
quarantines that day's rows alone.
"""

from __future__ import annotations

from collections.abc import Mapping

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F
from pyspark.sql import types as T

from twhin_spark.config import Config
from twhin_spark.logs.expressions import Expressions
from twhin_spark.logs.reader import KIND, RAW, RawLog
from twhin_spark.logs.relations import retracting_relations

OUTCOME, REASON, RAW_ROW = "outcome", "reason", "raw_row"
FIELDS = ("event_id", "relation", "source_id", "target_id", "timestamp", "weight", "split")
MAX_WEIGHT = 1e9
SPLITS = ("train", "validation", "test")

# Whole seconds before year 1 and after year 9999: representable, and outside every range that a config can give.
_BEFORE_TIME, _AFTER_TIME = -62_135_596_801.0, 253_402_300_800.0
_BLANKS = " \t\r\n\f\v\u00a0\u3000"


def constants(expressions: Mapping[str, Expressions]) -> dict[str, Column]:
    """Return the columns that are the same in every row of these logs: defaults, and `log` if there is one log.

    expressions: by log.
    """
    given = {field for one in expressions.values() for field in one.fields}
    same = {field: value for field, value in _defaults().items() if field not in given}
    if not any(one.multiplies for one in expressions.values()):
        same[RAW_ROW] = F.lit(None).cast("bigint")
    if len(expressions) == 1:
        same["log"] = F.lit(*expressions)
    return same


def check_rows(raw: RawLog, expressions: Expressions, config: Config) -> DataFrame:
    """One row for each row that the select yields, and for each malformed line.

    Columns: FIELDS, OUTCOME, REASON, "raw" (null where the row is accepted or left out), and RAW_ROW: the number of the
    raw row that it was made of, if one raw row may yield several; raw rows that yield nothing are not there then.
    """
    if expressions.multiplies:
        sound = raw.rows.where(F.col(KIND) == "row").withColumn(RAW_ROW, F.monotonically_increasing_id())
        kept = sound if expressions.where is None else sound.where(expressions.where)
        selected = _select(kept, expressions, [RAW_ROW]).withColumn("kept", F.lit(True))
        others = raw.rows.where(F.col(KIND) != "row").select(KIND, RAW, F.lit(False).alias("kept"))
        selected = selected.unionByName(others, allowMissingColumns=True)
    else:
        condition = F.lit(True) if expressions.where is None else F.coalesce(F.expr(expressions.where), F.lit(False))
        selected = _select(raw.rows, expressions, [condition.alias("kept"), F.lit(None).cast("bigint").alias(RAW_ROW)])
    typed = _typed(selected, expressions)
    judged = typed.withColumn(REASON, _reason(expressions, config)).withColumn(OUTCOME, _outcome(config))
    left_out = F.when(~F.col("kept"), "where").otherwise("window")
    rejected = F.col(OUTCOME) == "rejected"
    return judged.select(
        *FIELDS,
        OUTCOME,
        F.when(rejected, F.col(REASON)).when(F.col(OUTCOME) == "left_out", left_out).alias(REASON),
        F.when(rejected | (F.col(OUTCOME) == "header"), F.col(RAW)).alias("raw"),
        RAW_ROW,
    )


def _select(rows: DataFrame, expressions: Expressions, more: list[Column | str]) -> DataFrame:
    """KIND, RAW and the fields as their expressions yield them, under a name that no column of a log has."""
    fields = [expressions.column(field).alias(_own(field)) for field in expressions.fields]
    return rows.select(KIND, RAW, *more, *fields)


def _own(field: str) -> str:
    return f"__{field}"


def _typed(selected: DataFrame, expressions: Expressions) -> DataFrame:
    """FIELDS in their types: null where there is a value that cannot be read as that type."""
    fields = _defaults()
    for field, found in expressions.types.items():
        value = F.col(_own(field))
        read = {"timestamp": _timestamp, "weight": _weight}.get(field, _text)
        fields[f"{field}_id" if field in ("source", "target") else field] = read(value, found)
    return selected.select(KIND, RAW, "kept", RAW_ROW, *[fields[field].alias(field) for field in FIELDS])


def _defaults() -> dict[str, Column]:
    """The fields that a log need not give, as they are without it."""
    return {
        "event_id": F.lit(None).cast("string"),
        "timestamp": F.lit(None).cast("timestamp"),
        "weight": F.lit(1.0),
        "split": F.lit(None).cast("string"),
    }


def _text(value: Column, _: T.DataType) -> Column:
    return value.cast("string")


def _timestamp(value: Column, found: T.DataType) -> Column:
    """Text is ISO 8601 if it begins with a year and a dash; other text and numbers are Unix seconds."""
    if isinstance(found, (T.TimestampType, T.TimestampNTZType, T.DateType)):
        return value.cast("timestamp")
    if not isinstance(found, T.StringType):
        return _from_seconds(value.cast("double"))
    text = F.btrim(value)
    iso = F.when(F.substring(text, 5, 1) == "-", text.try_cast("timestamp"))  # Spark takes 12:30 for today's
    return F.coalesce(iso, _from_seconds(text.try_cast("double")))


def _from_seconds(seconds: Column) -> Column:
    """Null for null and NaN; seconds beyond what a timestamp can hold become ones that are out of range anyway."""
    held = F.least(F.greatest(seconds, F.lit(_BEFORE_TIME)), F.lit(_AFTER_TIME))
    return F.when(seconds.isNotNull() & ~F.isnan(seconds), F.timestamp_seconds(held))


def _weight(value: Column, found: T.DataType) -> Column:
    """A JSON NaN, which is no JSON, arrives as text in quotes."""
    if isinstance(found, T.StringType):
        value = F.btrim(value, F.lit('" '))
    return value.try_cast("double")


def _reason(expressions: Expressions, config: Config) -> Column:
    """The first reason that applies, else null."""
    relations = [*config.relations, *retracting_relations(config)]
    time, weight = F.col("timestamp"), F.col("weight")
    given = expressions.fields
    tests: list[tuple[str, Column]] = [
        ("malformed_line", F.col(KIND) == "malformed"),
        ("missing_source_id", _missing("source_id")),
        ("missing_target_id", _missing("target_id")),
        ("unknown_relation", ~F.coalesce(F.col("relation").isin(relations), F.lit(False))),
    ]
    if "timestamp" in given:
        tests += [("unparsable_timestamp", time.isNull()), ("timestamp_out_of_range", ~_in_range(config))]
    if "weight" in given:
        tests += [
            ("unparsable_weight", weight.isNull()),
            ("non_finite_weight", F.isnan(weight) | (F.abs(weight) == float("inf"))),
            ("non_positive_weight", weight <= 0),
            ("weight_out_of_range", weight > MAX_WEIGHT),
        ]
    if "split" in given:
        tests.append(("unknown_split", ~F.coalesce(F.col("split").isin(*SPLITS), F.lit(False))))
    if "event_id" in given:
        tests.append(("missing_event_id", _missing("event_id")))
    return F.coalesce(*[F.when(test, reason) for reason, test in tests])


def _outcome(config: Config) -> Column:
    return (
        F.when(F.col(KIND) == "header", "header")
        .when(F.col(KIND) == "malformed", "rejected")
        .when(~F.col("kept"), "left_out")
        .when(_outside_window(config), "left_out")
        .when(F.col(REASON).isNotNull(), "rejected")
        .otherwise("accepted")
    )


def _missing(field: str) -> Column:
    # Nearly every id begins with a printable character of ASCII, and comparing is several times as fast as trimming.
    plain = (F.col(field) >= "!") & (F.col(field) < "\x7f")
    return F.when(plain, F.lit(False)).otherwise(F.coalesce(F.btrim(F.col(field), F.lit(_BLANKS)) == "", F.lit(True)))


def _in_range(config: Config) -> Column:
    time = F.col("timestamp")
    return (time >= F.lit(config.graph.earliest)) & (time < F.lit(config.graph.latest))


def _outside_window(config: Config) -> Column:
    """Never null; false without a timestamp, or with one that is out of range."""
    time, outside = F.col("timestamp"), F.lit(False)
    if config.window.from_ is not None:
        outside = outside | (time < F.lit(config.window.from_))
    if config.window.until is not None:
        outside = outside | (time >= F.lit(config.window.until))
    return F.coalesce(outside & _in_range(config), F.lit(False))
