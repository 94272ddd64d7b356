"""Measure communities: planted graphs beside Leiden, and candidates on Last.fm and Higgs (make bench-communities)."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable
from functools import partial

from benchmarks.communities import data_sets, planted_searches
from benchmarks.communities.page import summary, write_page
from benchmarks.communities.records import Part, load, store
from benchmarks.console import progress


def main() -> None:
    """Measure the parts that have no record, write the page, and print the JSON line."""
    parser = argparse.ArgumentParser("python -m benchmarks.communities", description=__doc__)
    parser.add_argument("--again", action="append", default=[], metavar="PART", help="measure a recorded part again")
    parser.add_argument("--only", action="append", default=[], metavar="PART", help="measure no other part")
    options = parser.parse_args()
    parts: dict[str, Callable[[], Part]] = {
        f"planted-{graph.name}": partial(planted_searches.measure, graph) for graph in planted_searches.GRAPHS
    }
    parts["identity"] = planted_searches.measure_identity
    parts |= {data.name: partial(data_sets.measure, data) for data in data_sets.DATA_SETS}
    if unknown := [name for name in (*options.again, *options.only) if name not in parts]:
        parser.error(f"no part {unknown[0]}; the parts are {', '.join(parts)}")
    for name, measure in parts.items():
        if (name in load() and name not in options.again) or (options.only and name not in options.only):
            continue
        progress(f"measuring {name}")
        store(name, measure())
    write_page(load())
    sys.stdout.write(json.dumps(summary(load())) + "\n")


if __name__ == "__main__":
    main()
