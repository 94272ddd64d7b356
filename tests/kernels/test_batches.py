import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from twhin_spark.kernels.batches import shuffled_chunks


@given(relations=st.lists(st.integers(0, 4), max_size=60), batch_size=st.integers(1, 12), seed=st.integers(0, 100))
def test_every_edge_once_in_full_chunks_of_one_relation(relations: list[int], batch_size: int, seed: int) -> None:
    relation = np.array(relations, np.int16)
    chunks = shuffled_chunks(relation, batch_size, np.random.default_rng(seed))
    assert sorted(edge for _, chunk in chunks for edge in chunk) == list(range(len(relations)))
    for number, chunk in chunks:
        assert (relation[chunk] == number).all()
        assert 1 <= len(chunk) <= batch_size
    for number in set(relations):
        sizes = [len(chunk) for other, chunk in chunks if other == number]
        assert len(sizes) == -(-relations.count(number) // batch_size)
        assert max(sizes) - min(sizes) <= 1


def test_order_is_random_and_reproducible() -> None:
    relation = np.repeat([0, 1], 500)

    def deal(seed: int) -> list[tuple[int, list[int]]]:
        return [
            (number, chunk.tolist()) for number, chunk in shuffled_chunks(relation, 10, np.random.default_rng(seed))
        ]

    assert deal(0) == deal(0)
    assert deal(0) != deal(1)
    numbers = [number for number, _ in deal(0)]
    assert numbers != sorted(numbers)
    assert deal(0)[0][1] != sorted(deal(0)[0][1])
