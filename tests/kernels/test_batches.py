"""Batches: every edge once, chunks of one relation and of equal sizes, random and reproducible order."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from twhin_spark.kernels.batches import deal_batches

RELATION_BATCH = np.array([0, 1, 0, 1, 0])


@given(
    relations=st.lists(st.integers(0, 4), max_size=60),
    chunk_size=st.integers(1, 12),
    chunks=st.integers(1, 4),
    seed=st.integers(0, 100),
)
def test_every_edge_once_in_full_chunks_of_one_relation(
    relations: list[int], chunk_size: int, chunks: int, seed: int
) -> None:
    relation = np.array(relations, np.int16)
    dealt: list[tuple[int, list[int]]] = []
    for batch in deal_batches(relation, RELATION_BATCH, chunk_size, chunks, np.random.default_rng(seed)):
        assert 1 <= len(batch.relation) <= chunks
        assert len(set(RELATION_BATCH[batch.relation])) == 1
        assert batch.edges.shape == (len(batch.relation), batch.sizes.max())
        for number, size, edges in zip(batch.relation, batch.sizes, batch.edges, strict=True):
            dealt.append((number, edges[:size].tolist()))
            assert set(edges[size:]) <= set(edges[:size])
    assert sorted(edge for _, chunk in dealt for edge in chunk) == list(range(len(relations)))
    for number, chunk in dealt:
        assert (relation[chunk] == number).all()
        assert 1 <= len(chunk) <= chunk_size
    for number in set(relations):
        sizes = [len(chunk) for other, chunk in dealt if other == number]
        assert len(sizes) == -(-relations.count(number) // chunk_size)
        assert max(sizes) - min(sizes) <= 1


def test_slabs_are_the_batch_in_parts() -> None:
    (batch,) = deal_batches(np.zeros(70, np.int16), np.array([0]), 10, 7, np.random.default_rng(0))
    slabs = list(batch.slabs(3))
    assert [len(slab.sizes) for slab in slabs] == [3, 3, 1]
    np.testing.assert_array_equal(np.concatenate([slab.edges for slab in slabs]), batch.edges)


def test_order_is_random_and_reproducible() -> None:
    relation = np.repeat(np.array([0, 1, 2], np.int16), 500)

    def deal(seed: int) -> list[tuple[list[int], list[list[int]]]]:
        batches = deal_batches(relation, RELATION_BATCH, 10, 2, np.random.default_rng(seed))
        return [(batch.relation.tolist(), batch.edges.tolist()) for batch in batches]

    assert deal(0) == deal(0)
    assert deal(0) != deal(1)
    relation_batches = [int(RELATION_BATCH[relations[0]]) for relations, _ in deal(0)]
    assert relation_batches != sorted(relation_batches)
    assert any(len(set(relations)) == 2 for relations, _ in deal(0))
    assert deal(0)[0][1][0] != sorted(deal(0)[0][1][0])


def test_the_example_of_the_docstring() -> None:
    relation = np.repeat(np.array([0, 1], np.int16), [7, 3])
    batches = list(deal_batches(relation, np.array([0, 0]), 3, 2, np.random.default_rng(0)))
    assert sorted(batch.edges.shape for batch in batches) == [(2, 2), (2, 3)]
    assert sorted(sorted(batch.relation.tolist()) for batch in batches) == [[0, 0], [0, 1]]
