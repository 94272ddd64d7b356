"""The command line: `twhin-spark`, and the jobs that `spark-submit` takes."""

from twhin_spark.cli.commands import main

__all__ = ["main"]
