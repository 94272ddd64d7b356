"""Read published vectors without Java and Spark: the songs that a user likes best.

Run it in the repository after examples/dataframes.py, which publishes them: `python examples/read_without_java.py`.
"""

import numpy as np

import twhin_spark as ts

store = ts.open_store(ts.load_config("examples/listens.yaml"))
songs = [f"song-{number}" for number in range(160)]
vectors = np.stack(store.get_many([("song", song) for song in songs]))  # (160, dim)
listen = store.version().relation("listen")  # a translation: score = (user + parameters) · song
scores = vectors @ (store.get("user", "user-0") + np.array(listen.parameters, np.float32))
print("user-0 likes best:", *(songs[row] for row in np.argsort(-scores)[:5]))
