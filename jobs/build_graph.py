"""`spark-submit jobs/build_graph.py --config FILE`, the same job as `twhin-spark build-graph`."""

from twhin_spark.cli.commands import main

if __name__ == "__main__":
    main("build-graph")
