"""`spark-submit jobs/fold_in.py --config FILE`, the same job as `twhin-spark fold-in`."""

from twhin_spark.cli.commands import main

if __name__ == "__main__":
    main("fold-in")
