"""`spark-submit jobs/communities.py --config FILE`, the same job as `twhin-spark communities`."""

from twhin_spark.cli.commands import main

if __name__ == "__main__":
    main("communities")
