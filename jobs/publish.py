"""`spark-submit jobs/publish.py --config FILE`, the same job as `twhin-spark publish`."""

from twhin_spark.cli.commands import main

if __name__ == "__main__":
    main("publish")
