"""Two days of a small shop: users buy items, and follow users; the second day has new ones, and misses others."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from tests.support.configs import csv_log, write_config

USERS, ITEMS, BUYS = 60, 30, 900


def write_day(folder: Path, day: int) -> None:
    """Write the logs up to a day, from 1. Day 2 adds the users u60 to u65 and the items i30 to i32, and drops u0."""
    rng = np.random.default_rng(0)
    users, kinds = rng.integers(USERS, size=BUYS), rng.integers(3, size=BUYS)
    buys = {(f"u{u}", f"i{(u % 3) * 10 + rng.integers(10)}") for u in users.tolist()}
    follows = {(f"u{u}", f"u{(u + 3 * int(k)) % USERS}") for u, k in zip(users.tolist(), kinds.tolist(), strict=True)}
    if day > 1:
        buys = {(u, i) for u, i in buys if u != "u0"}
        follows = {(u, v) for u, v in follows if "u0" not in (u, v)}
        for new in range(6):
            buys |= {(f"u{USERS + new}", f"i{(new % 3) * 10 + k}") for k in range(4)}
        for new in range(3):
            buys |= {(f"u{user}", f"i{ITEMS + new}") for user in range(new + 3, USERS, 9)}
    for name, pairs in (("buys", buys), ("follows", follows)):
        (folder / f"{name}.csv").write_text("s,t\n" + "".join(f"{s},{t}\n" for s, t in sorted(pairs)))


def write_shop(folder: Path, **sections: Any) -> Path:
    """Write the logs of day 1 and `config.yaml`; `sections` replace those of the config."""
    write_day(folder, 1)
    defaults = {
        "name": "shop",
        "entity_types": ["user", "item"],
        "relations": {
            "buy": {"source": "user", "target": "item"},
            "follow": {"source": "user", "target": "user"},
        },
        "logs": {
            "buys": csv_log(folder / "buys.csv", "buy", "s", "t"),
            "follows": csv_log(folder / "follows.csv", "follow", "s", "t"),
        },
        "split": {"by": "fraction", "test": 0.1, "validation": 0},
        "graph": {"partitions": 4},
        "training": {"dim": 8, "epochs": 4, "batch_size": 32, "uniform_negatives": 8, "groups": 1, "init_scale": 0.1},
        "evaluation": {"als": None},
    }
    return write_config(folder, **{**defaults, **sections})
