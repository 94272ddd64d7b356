"""Measure the service under load on one machine (make bench-serving); wrk must be installed (apt-get install wrk).

The benchmark publishes a table of random vectors, serves it, and requests 1 and 100 ids: as fast as wrk can, then at
half that rate, then while a second version is published and rolled back. The last line of stdout is one JSON object,
which is stored in benchmarks/results/serving.json; docs/results/serving.md shows it.
"""

from __future__ import annotations

import argparse
import json
import re
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
from deltalake import DeltaTable, write_deltalake

from benchmarks.serving.page import PAGE, Load, ServiceResult, store_result, write_page
from twhin_spark.kernels.arrays import Floats
from twhin_spark.serving.store import RepresentationStore

ROWS = 50_000  # rows of a batch
CONNECTIONS = 32
SEEDS = {"v1": 1, "v2": 2}  # seeds of the versions' vectors
JSON, RAW = "application/json", "application/octet-stream"

SERVE = """
import sys
from twhin_spark.config.retrieval import AnnConfig
from twhin_spark.config.serving import ServingConfig
from twhin_spark.serving.web.server import serve
serve(ServingConfig(port=0, poll_seconds=1, log_requests=False), sys.argv[1], AnnConfig())
"""

# Each request asks for random ids. A connection waits `pause` milliseconds on average, at random so that they spread.
SCRIPT = """
local count, vectors, pause = %d, %d, %f
local accept = "%s"
function delay() return pause * 2 * math.random() end
function request()
  if count == 1 then
    return wrk.format("GET", "/v1/representations/user/" .. math.random(0, vectors - 1))
  end
  local ids = {}
  for i = 1, count do ids[i] = '["user","' .. math.random(0, vectors - 1) .. '"]' end
  local headers = {["Content-Type"] = "application/json", ["Accept"] = accept}
  return wrk.format("POST", "/v1/representations", headers, '{"entities":[' .. table.concat(ids, ",") .. "]}")
end
"""


def random_vectors(vectors: int, dim: int, seed: int) -> Iterator[tuple[int, Floats]]:
    """Yield random unit vectors in batches of float32 (ROWS, dim), each with the number of its first vector."""
    rng = np.random.default_rng(seed)
    for first in range(0, vectors, ROWS):
        values = rng.standard_normal((min(ROWS, vectors - first), dim), dtype=np.float32)
        yield first, values / np.linalg.norm(values, axis=1, keepdims=True)


def publish(tables: Path, version: str, vectors: int, dim: int) -> None:
    """Write random unit vectors of users 0, 1, ... as a version with one relation, the identity."""
    names = ("model_version", "relation", "source_type", "target_type", "operator", "side")
    values = (version, "same", "user", "user", "identity", "target")
    relation: dict[str, pa.Array] = {name: pa.array([value]) for name, value in zip(names, values, strict=True)}
    relation["parameters"] = pa.array([[]], pa.list_(pa.float32()))
    write_deltalake(str(tables / "relations"), pa.table(relation), mode="append")

    def batches() -> Iterator[pa.RecordBatch]:
        for first, values in random_vectors(vectors, dim, SEEDS[version]):
            count = len(values)
            yield pa.record_batch(
                {
                    "entity_type": pa.array(["user"] * count),
                    "entity_id": pa.array([str(i) for i in range(first, first + count)]),
                    "embedding": pa.ListArray.from_arrays(np.arange(count + 1, dtype=np.int32) * dim, values.ravel()),
                    "degree": pa.array(np.ones(count, np.int64)),
                    "model_version": pa.array([version] * count),
                }
            )

    stream = batches()
    first = next(stream)
    rows = pa.RecordBatchReader.from_batches(first.schema, (batch for rest in ([first], stream) for batch in rest))
    write_deltalake(str(tables / "embeddings"), rows, mode="overwrite")


@contextmanager
def serving(output: Path) -> Iterator[tuple[str, int]]:
    """Run the service in a process of its own; yield its address and process id once it is ready."""
    process = subprocess.Popen([sys.executable, "-c", SERVE, str(output)], stderr=subprocess.PIPE, text=True)
    assert process.stderr
    try:
        address = json.loads(process.stderr.readline())["address"]
        threading.Thread(target=lambda: [None for _ in process.stderr or ()], daemon=True).start()
        wait_for(address, "v1")
        yield address, process.pid
    finally:
        process.terminate()
        process.wait()


def wait_for(address: str, version: str, seconds: float = 600) -> None:
    """Wait until a version is the current one."""
    until = time.monotonic() + seconds
    while True:
        with urllib.request.urlopen(f"{address}/v1/versions") as response:
            family = json.load(response)["families"][0]
        if family["current"] == version:
            return
        if family["problems"] or time.monotonic() > until:
            raise SystemExit(f"version {version} is not served: {family['problems']}")
        time.sleep(0.2)


@dataclass(frozen=True)
class LoadGenerator:
    """Runs wrk for one kind of request after the other."""

    address: str
    vectors: int
    seconds: int

    def run(self, load: str, ids: int, accept: str, rate: float | None = None) -> Load:
        """Run wrk, at `rate` requests a second or, without a rate, as fast as responses arrive."""
        pause = 0.0 if rate is None else 1000 * CONNECTIONS / rate
        with tempfile.NamedTemporaryFile("w", suffix=".lua") as script:
            script.write(SCRIPT % (ids, self.vectors, pause, accept))
            script.flush()
            options = ["-t1", f"-c{CONNECTIONS}", f"-d{self.seconds}s", "--latency", "-s", script.name]
            printed = subprocess.run(["wrk", *options, self.address], capture_output=True, text=True, check=True).stdout
        failures = re.findall(r"(?:Non-2xx or 3xx responses: |(?:connect|read|write|timeout) )(\d+)", printed)
        rates = re.findall(r"Requests/sec:\s*([\d.]+)", printed)
        return Load(
            ids, accept, load, float(rates[0]), latency(printed, 50), latency(printed, 99), sum(map(int, failures))
        )


def latency(printed: str, percentile: int) -> float:
    """Read a percentile in milliseconds from wrk's table."""
    match = re.search(rf"{percentile}%\s+([\d.]+)(us|ms|s)", printed)
    assert match, printed
    return float(match[1]) * {"us": 0.001, "ms": 1.0, "s": 1000.0}[match[2]]


def switch(tables: Path, address: str, vectors: int, dim: int) -> None:
    """Publish a second version, wait until it is served, and roll back to the first."""
    before = DeltaTable(tables / "embeddings").version()
    publish(tables, "v2", vectors, dim)
    wait_for(address, "v2")
    DeltaTable(tables / "embeddings").restore(before)
    wait_for(address, "v1")


def compare(address: str, expected: Mapping[str, Floats], stop: threading.Event) -> tuple[int, int]:
    """Request 100 ids again and again, and compare the responses with the vectors of the versions that they name.

    expected: the vectors of the first ids, by version.
    Return the number of responses, and of those with a vector of another version.
    """
    rng = np.random.default_rng(0)
    checked = mixed = 0
    while not stop.wait(0.02):  # so that the comparison itself is no load
        ids = rng.integers(0, len(expected["v1"]), 100)
        body = json.dumps({"entities": [["user", str(number)] for number in ids]}).encode()
        headers = {"Content-Type": JSON, "Accept": RAW}
        request = urllib.request.Request(f"{address}/v1/representations", body, headers)
        with urllib.request.urlopen(request) as response:
            mixed += response.read() != expected[response.headers["X-Model-Version"]][ids].tobytes()
        checked += 1
    return checked, mixed


def own_memory(pid: int) -> float:
    """Return the MB of a process that are not mapped from files."""
    status = Path(f"/proc/{pid}/status").read_text()
    match = re.search(r"RssAnon:\s+(\d+) kB", status)
    assert match
    return int(match[1]) / 1024


def measure(out: Path, vectors: int, dim: int, seconds: int) -> ServiceResult:
    """Publish, serve and load random vectors under the folder `out`; return the measurements."""
    tables = out.absolute() / "tables"
    publish(tables, "v1", vectors, dim)
    loads = []
    with serving(out) as (address, pid):
        generator = LoadGenerator(address, vectors, seconds)
        for ids, accept in ((1, JSON), (100, JSON), (100, RAW)):
            peak = generator.run("peak", ids, accept)
            loads += [peak, generator.run("half the peak", ids, accept, peak.requests_per_second / 2)]
        expected = {version: next(random_vectors(vectors, dim, seed))[1] for version, seed in SEEDS.items()}
        stop = threading.Event()
        with ThreadPoolExecutor() as pool:
            comparing = pool.submit(compare, address, expected, stop)
            switching = pool.submit(switch, tables, address, vectors, dim)
            while not switching.done():
                loads.append(generator.run("publish, rollback", 1, JSON, loads[1].requests_per_second / 2))
            stop.set()
            switching.result()
            checked, mixed = comparing.result()
        memory = own_memory(pid)
    started = time.perf_counter()
    RepresentationStore.open(out / "serving")
    opened = time.perf_counter() - started
    return ServiceResult(vectors, dim, round(opened * 1000, 1), round(memory), checked, mixed, loads, CONNECTIONS)


def main() -> None:
    """Measure the service, store the result and write its page."""
    parser = argparse.ArgumentParser(
        "python -m benchmarks.serving",
        description=__doc__,
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    parser.add_argument("--vectors", type=int, default=1_000_000, help="number of vectors of each version")
    parser.add_argument("--dim", type=int, default=128, help="dimension of the vectors")
    parser.add_argument("--seconds", type=int, default=20, help="seconds of each run of wrk")
    parser.add_argument(
        "--out", type=Path, default=Path("build/benchmarks/serving"), help="folder of the tables and the store"
    )
    parser.add_argument("--page", type=Path, default=PAGE, help="page to write")
    options = parser.parse_args()
    result = measure(options.out, options.vectors, options.dim, options.seconds)
    store_result(result)
    write_page(result, options.page)
    sys.stdout.write(json.dumps(asdict(result)) + "\n")


if __name__ == "__main__":
    main()
