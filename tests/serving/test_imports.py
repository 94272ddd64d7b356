"""Serving needs no JVM, and a service does not load the libraries that only a build needs."""

from __future__ import annotations

import subprocess
import sys

LOADED = """
import sys
import twhin_spark.serving.web.server
print(*{"pyspark", "delta", "py4j", "pandas", "pyarrow.dataset", "matplotlib"} & set(sys.modules))
"""


def test_a_service_loads_neither_spark_nor_pandas() -> None:
    loaded = subprocess.run([sys.executable, "-c", LOADED], capture_output=True, text=True, check=True)
    assert loaded.stdout.split() == []


def test_the_builder_needs_no_jvm() -> None:
    code = LOADED.replace("web.server", "sync_store")
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert not {"pyspark", "delta", "py4j"} & set(loaded.stdout.split())
