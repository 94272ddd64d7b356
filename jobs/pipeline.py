"""`spark-submit jobs/pipeline.py --config FILE`, the same job as `twhin-spark pipeline`."""

from twhin_spark.cli.commands import main

if __name__ == "__main__":
    main("pipeline")
