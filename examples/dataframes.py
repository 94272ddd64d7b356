"""The whole flow on DataFrames: events → graph → vectors → metrics → a published version → scores of pairs.

Run it in the repository, `python examples/dataframes.py`, or paste it into a notebook's cell. The config's output is
build/listens.
"""

import random
from datetime import datetime, timedelta

import twhin_spark as ts

# Songs are of one of four genres, users too: nine of ten listens are to a song of the user's genre.
draw = random.Random(0)
events = []
for event in range(6000):
    user, genre = draw.randrange(60), draw.randrange(4)
    song = 4 * draw.randrange(40) + (genre if draw.random() < 0.1 else user % 4)
    events.append((f"user-{user}", f"song-{song}", datetime(2026, 1, 1) + timedelta(minutes=10 * event)))

config = ts.load_config("examples/listens.yaml")
with ts.open_session("listens") as spark:
    listens = spark.createDataFrame(events, "user STRING, song STRING, time TIMESTAMP")
    summary = ts.pipeline(spark, config, logs={"listens": listens}, progress=print)
    for row in summary.metrics:
        if row["metric"] == "mrr" and row["relation"] == "listen":
            print(f"{row['model']}: MRR {row['value']:.3f} of {row['queries']} queries")

    # Scores as a column beside pairs: of user 0, whose genre is 0, and one song of each genre.
    pairs = spark.createDataFrame(
        [("user", "user-0", "song", f"song-{song}") for song in range(4)],
        "source_type STRING, source_id STRING, target_type STRING, target_id STRING",
    )
    ts.score_pairs(spark, config, pairs, [ts.Score(relation="listen")]).select("target_id", "score").show()

    # The same vectors in SQL.
    ts.register(spark, config)
    spark.sql("SELECT entity_id, norm FROM twhin_song ORDER BY norm DESC LIMIT 3").show()
