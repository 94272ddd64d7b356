"""The peer's vectors are ranked by the same protocol as ours; a count by loops is the reference."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from benchmarks.quality.peer import metrics_by_vectors

ENTITIES = pd.Index([*[f"user:{i}" for i in range(30)], *[f"item:{i}" for i in range(30)]])


@pytest.mark.parametrize("target", ["user", "item"])
def test_queries_candidates_and_ranks(target: str) -> None:
    rng = np.random.default_rng(len(target))
    vectors = rng.standard_normal((len(ENTITIES), 4)).astype(np.float32)
    names = [name for name in ENTITIES if name.startswith(target)]
    pairs = {(f"user:{s}", names[t]) for s, t in rng.integers(12, size=(90, 2)) if f"user:{s}" != names[t]}
    split = {pair: ("train", "test")[number % 3 == 0] for number, pair in enumerate(sorted(pairs))}
    repeated = next(pair for pair, name in split.items() if name == "train")
    rows = [*((*pair, name) for pair, name in split.items()), (*repeated, "test"), ("user:0", f"{target}:new", "test")]
    edges = pd.DataFrame(rows, columns=["source", "target", "split"]).sample(frac=1, random_state=0)

    metrics = metrics_by_vectors(edges.assign(source_type="user", target_type=target), ENTITIES, vectors)

    among_new: dict[str, list[int]] = {}
    filtered = []
    for (source, answer), name in split.items():
        if name == "test":
            excluded = {source} | {t for (s, t), part in split.items() if s == source and part == "train"}
            others = {t for (s, t), part in split.items() if s == source and part == "test"} - {answer}
            score = dict(zip(ENTITIES, vectors @ vectors[ENTITIES.get_loc(source)], strict=True))
            above = {name for name in names if score[name] > score[answer]} - excluded
            among_new.setdefault(source, []).append(1 + len(above))
            filtered.append(1 + len(above - others))
    assert metrics["mrr"] == pytest.approx(np.mean(1 / np.array(filtered)))
    recalls = [np.mean(np.array(ranks) <= 10) for ranks in among_new.values()]
    assert metrics["recall@10"] == pytest.approx(np.mean(recalls))
    assert 0 < metrics["recall@10"] < 1
