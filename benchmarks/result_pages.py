"""All result pages, written from the stored records alone."""

from __future__ import annotations

import json
from pathlib import Path

from benchmarks import benchmark_records, benchmarks_page, quality_page, retrieval_page, serving_page
from benchmarks.paths import PAGES, RECORDS
from benchmarks.quality_records import load_runs


def write_pages(folder: Path = PAGES) -> None:
    """Write the pages benchmarks, quality, retrieval and serving, with their plots, into an existing folder."""
    benchmarks_page.write_page(benchmark_records.load(), folder)
    quality_page.write_page(load_runs(), folder)
    retrieval_page.write_page(json.loads((RECORDS / "retrieval.json").read_text()), folder)
    serving_page.write_page(serving_page.load_result(), folder / "serving.md")
