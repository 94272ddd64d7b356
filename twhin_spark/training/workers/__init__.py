"""Code of training tasks, which Spark runs on workers. It imports `state` and `validation`."""
