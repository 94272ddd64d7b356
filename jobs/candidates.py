"""`spark-submit jobs/candidates.py --config FILE`, the same job as `twhin-spark candidates`."""

from twhin_spark.cli.commands import main

if __name__ == "__main__":
    main("candidates")
