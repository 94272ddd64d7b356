"""All result pages, written from the stored records alone."""

from __future__ import annotations

import json
from pathlib import Path

import benchmarks.communities.page as communities_page
import benchmarks.daily.page as daily_page
import benchmarks.daily.records as daily_records
import benchmarks.quality.page as quality_page
import benchmarks.retrieval.page as retrieval_page
import benchmarks.serving.page as serving_page
import benchmarks.speed.page as speed_page
from benchmarks.communities.records import load as load_communities
from benchmarks.paths import PAGES, RECORDS
from benchmarks.quality.records import load_runs
from benchmarks.speed.records import load


def write_pages(folder: Path = PAGES) -> None:
    """Write all pages, such as benchmarks.md and quality.md, with their plots into an existing folder."""
    speed_page.write_page(load(), folder)
    communities_page.write_page(load_communities(), folder)
    quality_page.write_page(load_runs(), folder)
    retrieval_page.write_page(json.loads((RECORDS / "retrieval.json").read_text()), folder)
    daily_page.write_page(daily_records.load(), folder)
    serving_page.write_page(serving_page.load_result(), folder / "serving.md")
