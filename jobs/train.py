"""`spark-submit jobs/train.py --config FILE`, the same job as `twhin-spark train`."""

from twhin_spark.cli.commands import main

if __name__ == "__main__":
    main("train")
