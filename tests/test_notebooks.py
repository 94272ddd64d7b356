"""The tour is run as an analyst runs it, on two small versions."""

from __future__ import annotations

from pathlib import Path

import nbformat
import numpy as np
import pytest
from nbclient import NotebookClient

from tests.support.configs import write_config
from tests.support.published_tables import Tables

TOUR = Path(__file__).parents[1] / "notebooks" / "tour.ipynb"


@pytest.mark.slow
def test_the_tour_runs_and_a_turned_space_has_the_same_neighbours(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rng = np.random.default_rng(0)
    vectors = {kind: rng.standard_normal((40, 8)) for kind in ("user", "tweet")}
    turn = np.linalg.qr(rng.standard_normal((8, 8)))[0]
    tables = Tables(tmp_path)
    for version, matrix in (("m1", np.eye(8)), ("m2", turn)):
        tables.publish(version, {
            kind: {f"{kind[0]}{i}": row.tolist() for i, row in enumerate(rows @ matrix)}
            for kind, rows in vectors.items()
        })  # fmt: skip
    relations = {"favorite": {"source": "user", "target": "tweet"}}
    config = write_config(tmp_path, output=str(tmp_path), entity_types=["user", "tweet"], relations=relations)
    monkeypatch.setenv("TWHIN_CONFIG", str(config))
    tour = nbformat.read(TOUR, as_version=4)
    NotebookClient(tour, timeout=300, resources={"metadata": {"path": str(TOUR.parent)}}).execute()
    outputs = [output for cell in tour.cells for output in cell.get("outputs", [])]
    assert sum("image/png" in output.get("data", {}) for output in outputs) == 3
    said = "".join(output.text for output in outputs if output.output_type == "stream")
    assert "10.00 of 10 neighbours are the same in m1 and m2" in said
    scored = next(cell for cell in tour.cells if cell.source.startswith("pairs = "))
    assert "m2" in scored.outputs[0].data["text/plain"]


def test_the_tour_is_kept_without_outputs() -> None:
    cells = nbformat.read(TOUR, as_version=4).cells
    assert not any(cell.get("outputs") or cell.get("execution_count") for cell in cells)
