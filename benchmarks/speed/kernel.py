"""The benchmarks kernel_d128_500_500 and kernel_d100_50_50: training speed on FB15k-237 beside PyTorch-BigGraph's."""

from __future__ import annotations

from dataclasses import replace
from statistics import median

from benchmarks import pytorch_biggraph
from benchmarks.console import progress
from benchmarks.machine import installed_versions
from benchmarks.paths import BUILD
from benchmarks.speed import fb15k
from benchmarks.speed.kernel_processes import KernelSettings, epoch_rates
from benchmarks.speed.records import Result
from benchmarks.speed.work_units import work_facts
from twhin_spark.kernels.training_pass import MEASURED_EVERY

_OURS = "ours, {loss}"
_TWO_SIDED = "ours, softmax, relations two-sided"
_PEERS = {False: "PyTorch-BigGraph, {loss}, a relation a batch", True: "PyTorch-BigGraph, {loss}, relations mixed"}


def kernel(name: str, dim: int, negatives: int, repeats: int, epochs: int) -> Result:
    """Measure softmax and logistic loss, ours and both modes of the peer, one after the other, `repeats` times."""
    pytorch_biggraph.install()
    rates: dict[str, list[float]] = {}
    for repeat in range(repeats):
        for loss in ("softmax", "logistic"):
            settings = KernelSettings(loss, dim, negatives, negatives)
            progress(f"{name}: repeat {repeat + 1} of {repeats}, {loss}")
            rates.setdefault(_OURS.format(loss=loss), []).extend(epoch_rates(settings, epochs))
            for mixed, label in _PEERS.items():
                rates.setdefault(label.format(loss=loss), []).extend(_peer_rates(settings, epochs, mixed=mixed))
        two_sided = replace(KernelSettings("softmax", dim, negatives, negatives), two_sided=True)
        rates.setdefault(_TWO_SIDED, []).extend(epoch_rates(two_sided, epochs))

    def rate(label: str, loss: str = "softmax") -> float:
        return median(rates[label.format(loss=loss)])

    ours, peer, mixed_peer = rate(_OURS), rate(_PEERS[False]), rate(_PEERS[True])
    facts = {
        "the same work": "one-sided relations, a relation a chunk: ours, and PyTorch-BigGraph with a relation a batch",
        "ratio of logistic losses": f"{rate(_OURS, 'logistic') / rate(_PEERS[False], 'logistic'):.2f}",
        "ratio with two-sided relations, PyTorch-BigGraph's mixed": f"{median(rates[_TWO_SIDED]) / mixed_peer:.2f}",
        "ratio of our one-sided to its mixed ones": f"{ours / mixed_peer:.2f}",
        "the loss itself": f"ours: measured in one batch of {MEASURED_EVERY}; PyTorch-BigGraph: in every one",
        **work_facts(fb15k.numbered_edges()[0], KernelSettings("softmax", dim, negatives, negatives)),
    }
    versions = {**installed_versions(), **pytorch_biggraph.versions()}
    return Result(name, ours, peer, ours / peer, "edges/s", versions, rates, facts=facts)


def _peer_rates(settings: KernelSettings, epochs: int, *, mixed: bool) -> list[float]:
    """Return the peer's edges a second of each epoch after the first."""
    names = ["all"] if mixed else fb15k.relation_names()
    peer_settings = pytorch_biggraph.PeerSettings(
        tuple(pytorch_biggraph.PeerRelation(name, "entity", "entity") for name in names),
        dynamic=mixed,
        loss=settings.loss,
        dim=settings.dim,
        batch_negatives=settings.chunk,
        uniform_negatives=settings.uniform_negatives,
        epochs=epochs + 1,
        batch_size=settings.batch_size,
        learning_rate=settings.learning_rate,
    )
    project = pytorch_biggraph.Project(BUILD / "pbg" / ("fb15k-237-mixed" if mixed else "fb15k-237"))
    if not project.has_graph():
        progress("importing FB15k-237 into PyTorch-BigGraph")
        project.import_edges(peer_settings, fb15k.edges_file())
    _, trained = project.train(peer_settings)
    return [epoch.edges / epoch.seconds for epoch in trained[1:]]
