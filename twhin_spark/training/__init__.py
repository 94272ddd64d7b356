"""Training: from a graph to a trained run.

`train.py` is the whole story. Its rooms are `planning`, `state` (files on disk), `workers` (code of Spark's tasks) and
`validation`; the modules beside them run on the driver.
"""
