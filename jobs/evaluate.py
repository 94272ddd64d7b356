"""`spark-submit jobs/evaluate.py --config FILE`, the same job as `twhin-spark evaluate`."""

from twhin_spark.cli.commands import main

if __name__ == "__main__":
    main("evaluate")
