"""A Spark configuration for commands that tests run in processes of their own."""

from __future__ import annotations

import shutil
from pathlib import Path

import twhin_spark

DEFAULTS = Path(twhin_spark.__file__).parent / "tables" / "local"
SMALL = """
spark.master local[2]
spark.driver.memory 1g
spark.driver.extraJavaOptions -XX:+UseParallelGC -XX:TieredStopAtLevel=1
spark.sql.shuffle.partitions 2
"""


def write_spark_conf(folder: Path, more: str = "") -> Path:
    """Write the package's own configuration into a folder, made smaller, and return it: a value for SPARK_CONF_DIR."""
    shutil.copytree(DEFAULTS, folder)
    with (folder / "spark-defaults.conf").open("a") as file:
        file.write(SMALL + more)
    return folder
