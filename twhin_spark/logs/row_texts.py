"""Rows of CSV, JSON and text as they are written, before they are parsed: lines, or with `multiLine` several lines.

Files are read as lines by Spark. Those of a log with `multiLine`, or in an encoding in which a line break has several
bytes, are read whole.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import partial

from pyspark.sql import Column, DataFrame, SparkSession
from pyspark.sql import functions as F

from twhin_spark.config.sections import LogConfig
from twhin_spark.errors import InputError
from twhin_spark.logs.documents import CsvForm, json_documents, split_files
from twhin_spark.logs.files import LogFiles
from twhin_spark.logs.raw_log import (
    FILE,
    REPLACEMENT,
    encoding_of,
    file_reader,
    is_true,
    is_wide,
    options_of,
    separator_of,
    spark_paths,
    with_file,
)
from twhin_spark.tables.session_settings import spark_setting

LINE, VALID = "__twhin_line", "__twhin_valid"
_MOST_BYTES = 2_000_000_000  # of a file that is one string of the JVM


def check_sizes(name: str, log: LogConfig, files: LogFiles) -> None:
    """Check that files which must be read whole are not too large for that. Raises InputError."""
    if not (_has_rows_of_lines(log) or is_wide(encoding_of(log))):
        return
    if (large := next((file for file in files.read if file.size > _MOST_BYTES), None)) is not None:
        why = "options.multiLine" if _has_rows_of_lines(log) else f"the encoding {encoding_of(log)}"
        raise InputError(
            f"logs.{name}.path: {large.location} has {large.size / 1e9:.1f} GB, but {why} asks to read files whole, "
            f"which have at most {_MOST_BYTES / 1e9:g} GB: split it"
        )


def _has_rows_of_lines(log: LogConfig) -> bool:
    """Return if a row may have several lines."""
    return log.format != "text" and is_true(log, "multiline")


def row_texts(spark: SparkSession, log: LogConfig, files: LogFiles, locations: Sequence[str]) -> DataFrame:
    """Read rows: LINE, VALID, which is false if a row's bytes are not of the encoding, and FILE if needed."""
    file = [FILE] if files.folder_columns else []

    def named(rows: DataFrame) -> DataFrame:
        return with_file(rows) if file else rows

    encoding, paths = encoding_of(log), spark_paths(locations)
    line_end = options_of(log).get("linesep")
    text = file_reader(spark).format("text")
    with spark_setting(spark, "spark.sql.legacy.codingErrorAction", "true"):  # else one bad byte ends the job
        if _has_rows_of_lines(log):
            whole = named(text.options(wholetext="true").load(paths))
            content = F.encode(_decoded(encoding), "UTF-8") if encoding else F.col("value").cast("binary")
            rows = whole.select(content.alias(LINE), *file)
            documents = rows.mapInArrow(
                partial(split_files, splitter=_splitter(log), columns=tuple(rows.columns)), rows.schema
            )
            lines = documents.withColumn(LINE, F.col(LINE).cast("string"))
        elif is_wide(encoding):  # the text reader would look for line breaks of one byte
            whole = named(text.options(wholetext="true").load(paths))
            end = r"\r\n|\n|\r" if line_end is None else f"\\Q{line_end}\\E"
            content = F.regexp_replace(_decoded(encoding or ""), rf"^\ufeff|({end})\z", "")
            lines = whole.select(F.explode(F.split(content, end)).alias(LINE), *file)
        else:
            own = {} if line_end is None else {"lineSep": line_end}
            loaded = named(text.options(**own).load(paths))
            lines = loaded.select((_decoded(encoding) if encoding else F.col("value")).alias(LINE), *file)
    valid = F.is_valid_utf8(LINE) if encoding is None else ~F.contains(LINE, F.lit(REPLACEMENT))
    return lines.withColumn(VALID, valid)


def _decoded(encoding: str) -> Column:
    return F.decode(F.col("value").cast("binary"), encoding)


def _splitter(log: LogConfig) -> Callable[[bytes], Iterator[bytes]]:
    """Return a function that splits the text of a file, in UTF-8, into rows."""
    options = options_of(log)
    if log.format == "json":
        single_quotes = options.get("allowsinglequotes", "true").lower() == "true"
        return partial(json_documents, single_quotes=single_quotes, comments=is_true(log, "allowcomments"))
    form = CsvForm(
        separator=separator_of(options),
        quote=options["quote"],
        escape=options["escape"],
        line_end=options.get("linesep"),
        comment=options.get("comment", ""),
        skips_spaces=is_true(log, "ignoreleadingwhitespace"),
    )
    return form.records
