"""kernel_d128_500_500 and kernel_d100_50_50: training speed on FB15k-237 against PyTorch-BigGraph's."""

from __future__ import annotations

from dataclasses import replace

from benchmarks import fb15k, pytorch_biggraph
from benchmarks.console import say
from benchmarks.kernel_processes import Work, epoch_rates
from benchmarks.paths import BUILD
from benchmarks.results import Result, middle, own_versions
from benchmarks.work_units import work_facts
from twhin_spark.kernels.training_pass import MEASURED

_OURS = "ours, {loss}"
_TWO_SIDED = "ours, softmax, relations two-sided"
_PEERS = {False: "PyTorch-BigGraph, {loss}, a relation a batch", True: "PyTorch-BigGraph, {loss}, relations mixed"}


def kernel(name: str, dim: int, negatives: int, repeats: int, epochs: int) -> Result:
    """Softmax and logistic, ours and both modes of the peer, one after the other, `repeats` times."""
    pytorch_biggraph.install()
    rates: dict[str, list[float]] = {}
    for repeat in range(repeats):
        for loss in ("softmax", "logistic"):
            work = Work(loss, dim, negatives, negatives)
            say(f"{name}: repeat {repeat + 1} of {repeats}, {loss}")
            rates.setdefault(_OURS.format(loss=loss), []).extend(epoch_rates(work, epochs))
            for mixed, label in _PEERS.items():
                rates.setdefault(label.format(loss=loss), []).extend(_peer_rates(work, epochs, mixed=mixed))
        two_sided = replace(Work("softmax", dim, negatives, negatives), two_sided=True)
        rates.setdefault(_TWO_SIDED, []).extend(epoch_rates(two_sided, epochs))

    def of(label: str, loss: str = "softmax") -> float:
        return middle(rates[label.format(loss=loss)])

    own_two_sided = middle(rates[_TWO_SIDED])
    ours, peer, of_mixed = of(_OURS), of(_PEERS[False]), of(_PEERS[True])
    facts = {
        "the same work": "one-sided relations, a relation a chunk: ours, and PyTorch-BigGraph with a relation a batch",
        "ratio of logistic losses": f"{of(_OURS, 'logistic') / of(_PEERS[False], 'logistic'):.2f}",
        "ratio with two-sided relations, PyTorch-BigGraph's mixed": f"{own_two_sided / of_mixed:.2f}",
        "ratio of our one-sided to its mixed ones": f"{ours / of_mixed:.2f}",
        "the loss itself": f"ours: measured in one batch of {MEASURED}; PyTorch-BigGraph: in every one",
        **work_facts(fb15k.numbered_edges()[0], Work("softmax", dim, negatives, negatives)),
    }
    versions = {**own_versions(), **pytorch_biggraph.versions()}
    return Result(name, ours, peer, ours / peer, "edges/s", versions, rates, facts=facts)


def _peer_rates(work: Work, epochs: int, *, mixed: bool) -> list[float]:
    """Edges a second of each epoch after the first."""
    names = ["all"] if mixed else fb15k.relation_names()
    settings = pytorch_biggraph.Settings(
        tuple(pytorch_biggraph.Relation(name, "entity", "entity") for name in names),
        mixed,
        work.loss,
        work.dim,
        work.chunk,
        work.uniform_negatives,
        epochs + 1,
        work.batch_size,
        work.learning_rate,
    )
    project = pytorch_biggraph.Project(BUILD / "pbg" / ("fb15k-237-mixed" if mixed else "fb15k-237"))
    if not project.has_graph():
        say("importing FB15k-237 into PyTorch-BigGraph")
        project.import_edges(settings, fb15k.edges_file())
    _, trained = project.train(settings)
    return [epoch.edges / epoch.seconds for epoch in trained[1:]]
