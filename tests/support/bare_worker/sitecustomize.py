"""Imported when a Python process of Spark starts: a worker has none of the libraries that only the driver needs."""

import os
import sys

if "pyspark.daemon" in sys.orig_argv or "pyspark.worker" in sys.orig_argv:
    sys.modules.update(dict.fromkeys(os.environ["TWHIN_WORKER_LACKS"].split(",")))  # None: imports raise ImportError
