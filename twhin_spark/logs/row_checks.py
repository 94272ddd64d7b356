"""Checks of rows: the outcome of each row of a log, and the reason of a rejection.

The outcome is accepted, rejected (with a reason), left_out (where, window), or header. A row gets the first reason that
applies:

    malformed_line          not a row of the format: too few or too many fields, an open quote or brace, a value that
                            does not fit the type that `columns` gives it, bytes that are not of the encoding
    missing_source_id       null, empty, blank or NaN
    missing_target_id
    inexact_source_id       a floating-point number that is no whole number up to 2^53 (FLOAT: 2^24); an unquoted JSON
    inexact_target_id       number that is written in another way than it would be read: 1e5, 1.10; half an escaped
                            surrogate pair of JSON
    unknown_relation        not under `relations`, nor an `undone_by`; null and empty too
    unparsable_timestamp    null, or neither a time nor a number
    timestamp_out_of_range  before graph.earliest, or from graph.latest on
    unparsable_weight       null or not a number
    non_finite_weight       NaN or infinite
    non_positive_weight     zero or less
    weight_out_of_range     above 1e9, which would drown every other edge
    unknown_split           not train, validation or test
    missing_event_id        null, empty or blank
    inexact_event_id        as inexact_source_id

A row whose timestamp is valid and outside the window is left out even if it has another fault: a backfill of one day
quarantines rows of that day only.
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
_IDS = ("source_id", "target_id", "event_id")
_JAVA_DOUBLE = r"^-?[0-9]+\.[0-9]+(E-?[0-9]+)?$"
_MAX_WHOLE = {T.FloatType: 2.0**24, T.DoubleType: 2.0**53}  # up to here a type holds every whole number
# An escape of JSON for one half of a surrogate pair without the other, which Spark reads as a question mark.
_HALF_PAIR = (
    r"(?<!\\)(?:\\\\)*+(?:\\u[dD][89abAB][0-9a-fA-F]{2}(?!\\u[dD][c-fC-F])"
    r"|(?<!\\u[dD][89abAB][0-9a-fA-F]{2})\\u[dD][c-fC-F])"
)
SPLITS = ("train", "validation", "test")

# Whole seconds before year 1 and after year 9999: representable, and outside every range that a config can give.
_BEFORE_TIME, _AFTER_TIME = -62_135_596_801.0, 253_402_300_800.0
_BLANKS = " \t\r\n\f\v\u00a0\u3000"


def constants(expressions: Mapping[str, Expressions]) -> dict[str, Column]:
    """Return the columns that are the same in every row of these logs: defaults, and `log` if there is one log.

    expressions: by log.
    """
    given = {field for of_log in expressions.values() for field in of_log.fields}
    same = {field: value for field, value in _defaults().items() if field not in given}
    if not any(of_log.multiplies for of_log in expressions.values()):
        same[RAW_ROW] = F.lit(None).cast("bigint")
    if len(expressions) == 1:
        same["log"] = F.lit(*expressions)
    return same


def check_rows(raw: RawLog, expressions: Expressions, config: Config) -> DataFrame:
    """Check every row that the select yields, and every malformed line.

    Returns
    -------
    DataFrame
        FIELDS, OUTCOME, REASON, "raw" (null if the row is accepted or left out) and RAW_ROW. If one raw row may yield
        several rows, RAW_ROW is its number, and raw rows that yield none are not in the result; else it is null.
    """
    if expressions.multiplies:
        parsed = raw.rows.where(F.col(KIND) == "row").withColumn(RAW_ROW, F.monotonically_increasing_id())
        kept = parsed if expressions.where is None else parsed.where(expressions.where)
        selected = _select(kept, expressions, [RAW_ROW]).withColumn("kept", F.lit(True))
        others = raw.rows.where(F.col(KIND) != "row").select(KIND, RAW, F.lit(False).alias("kept"))
        selected = selected.unionByName(others, allowMissingColumns=True)
    else:
        condition = F.lit(True) if expressions.where is None else F.coalesce(F.expr(expressions.where), F.lit(False))
        selected = _select(raw.rows, expressions, [condition.alias("kept"), F.lit(None).cast("bigint").alias(RAW_ROW)])
    typed = _typed(selected, expressions, raw)
    checked = typed.withColumn(REASON, _reason(expressions, config)).withColumn(OUTCOME, _outcome(config))
    left_out = F.when(~F.col("kept"), "where").otherwise("window")
    rejected = F.col(OUTCOME) == "rejected"
    return checked.select(
        *FIELDS,
        OUTCOME,
        F.when(rejected, F.col(REASON)).when(F.col(OUTCOME) == "left_out", left_out).alias(REASON),
        F.when(rejected, F.col(RAW)).alias("raw"),
        RAW_ROW,
    )


def _select(rows: DataFrame, expressions: Expressions, more: list[Column | str]) -> DataFrame:
    """Return KIND, RAW and the fields as their expressions yield them, under names that no column of a log has."""
    fields = [expressions.column(field).alias(_hidden(field)) for field in expressions.fields]
    return rows.select(KIND, RAW, *more, *fields)


def _hidden(field: str) -> str:
    return f"__{field}"


def _typed(selected: DataFrame, expressions: Expressions, raw: RawLog) -> DataFrame:
    """Return FIELDS in their types, null for a value that cannot be read, and a condition for inexact ids."""
    fields, inexact, malformed = _defaults(), {name: F.lit(False) for name in _IDS}, F.col(KIND) == "malformed"
    for field, data_type in expressions.types.items():
        name = f"{field}_id" if field in ("source", "target") else field
        value, infinite = F.col(_hidden(field)), F.lit(False)
        if name in _IDS and raw.nan is not None and isinstance(data_type, T.StringType):
            infinities = [raw.nan.replace("NaN", word) for word in ("Infinity", "-Infinity")]
            infinite = F.coalesce(value.isin(*infinities), F.lit(False))
            value = F.nullif(value, F.lit(raw.nan))
        read = {"timestamp": _timestamp, "weight": _weight}.get(field, _text)
        fields[name] = read(value, data_type)
        if name in _IDS:
            inexact[name] = _is_inexact(value, data_type, raw) | infinite
            if raw.has_escapes and isinstance(data_type, T.StringType):
                broken = F.contains(value, F.lit("?")) & F.col(RAW).rlike(_HALF_PAIR)
                inexact[name] |= F.coalesce(broken, F.lit(False))
        if read is _text and isinstance(data_type, (T.StringType, T.BinaryType)) and not raw.is_valid_text:
            malformed = malformed | ~F.coalesce(F.is_valid_utf8(value.cast("string")), F.lit(True))
    kind = F.when(malformed & (F.col(KIND) == "row"), "malformed").otherwise(F.col(KIND))
    return selected.select(
        kind.alias(KIND),
        RAW,
        "kept",
        RAW_ROW,
        *[fields[name].alias(name) for name in FIELDS],
        *[condition.alias(_inexact(name)) for name, condition in inexact.items()],
    )


def _inexact(name: str) -> str:
    return f"__inexact_{name}"


def _defaults() -> dict[str, Column]:
    """Return the default values of the fields that a log need not give."""
    return {
        "event_id": F.lit(None).cast("string"),
        "timestamp": F.lit(None).cast("timestamp"),
        "weight": F.lit(1.0),
        "split": F.lit(None).cast("string"),
    }


def _text(value: Column, data_type: T.DataType) -> Column:
    """Return the value as text. Whole floating-point numbers are written as integers, and NaN is null."""
    if isinstance(data_type, (T.FloatType, T.DoubleType)):
        return F.when(~F.isnan(value), value.cast("bigint").cast("string"))
    return value.cast("string")


def _is_inexact(value: Column, data_type: T.DataType, raw: RawLog) -> Column:
    """Return a condition, never null: different ids of the input may have become this value."""
    if isinstance(data_type, (T.FloatType, T.DoubleType)):
        number = value.cast("double")
        size, most = F.abs(number), _MAX_WHOLE[type(data_type)]
        in_range = size < most if raw.is_valid_text else size <= most  # the text of the next number is read as `most`
        exact = F.isnan(number) | (in_range & (F.floor(number) == number))
        return ~F.coalesce(exact, F.lit(True))
    if not (raw.rewrites_numbers and isinstance(data_type, T.StringType)):
        return F.lit(False)
    # Spark writes the floating-point numbers of JSON anew, so 1.10 and 1.1 are the same text unless they are quoted.
    quoted_text = F.contains(RAW, F.concat(F.lit('"'), value, F.lit('"')))
    written = F.concat(F.lit(r"[:\[,\s]"), F.regexp_replace(value, r"([.+])", r"\\$1"), F.lit(r"[,\]}\s]"))
    same = quoted_text | F.regexp(F.col(RAW), written)
    return F.coalesce(value.rlike(_JAVA_DOUBLE) & ~same, F.lit(False))


def _timestamp(value: Column, data_type: T.DataType) -> Column:
    """Read text that begins with a year and a dash as ISO 8601, other text and numbers as Unix seconds."""
    if isinstance(data_type, (T.TimestampType, T.TimestampNTZType, T.DateType)):
        return value.cast("timestamp")
    if not isinstance(data_type, T.StringType):
        return _from_seconds(value.cast("double"))
    text = F.btrim(value)
    iso = F.when(F.substring(text, 5, 1) == "-", text.try_cast("timestamp"))  # Spark takes 12:30 for today's
    return F.coalesce(iso, _from_seconds(text.try_cast("double")))


def _from_seconds(seconds: Column) -> Column:
    """Convert to a timestamp; null for null and NaN. Seconds too large for a timestamp become others out of range."""
    limited = F.least(F.greatest(seconds, F.lit(_BEFORE_TIME)), F.lit(_AFTER_TIME))
    return F.when(seconds.isNotNull() & ~F.isnan(seconds), F.timestamp_seconds(limited))


def _weight(value: Column, data_type: T.DataType) -> Column:
    """Read a weight. A NaN in JSON arrives as text in quotes."""
    if isinstance(data_type, T.StringType):
        value = F.btrim(value, F.lit('" '))
    return value.try_cast("double")


def _reason(expressions: Expressions, config: Config) -> Column:
    """Return the first reason that applies, else null."""
    relations = [*config.relations, *retracting_relations(config)]
    time, weight = F.col("timestamp"), F.col("weight")
    given = expressions.fields
    tests: list[tuple[str, Column]] = [
        ("malformed_line", F.col(KIND) == "malformed"),
        ("missing_source_id", _missing("source_id")),
        ("missing_target_id", _missing("target_id")),
        ("inexact_source_id", F.col(_inexact("source_id"))),
        ("inexact_target_id", F.col(_inexact("target_id"))),
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
        tests.append(("inexact_event_id", F.col(_inexact("event_id"))))
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
    """Return a condition, never null: false without a timestamp, or with one that is out of range."""
    time, outside = F.col("timestamp"), F.lit(False)
    if config.window.from_ is not None:
        outside = outside | (time < F.lit(config.window.from_))
    if config.window.until is not None:
        outside = outside | (time >= F.lit(config.window.until))
    return F.coalesce(outside & _in_range(config), F.lit(False))
