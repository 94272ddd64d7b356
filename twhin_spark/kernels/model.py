"""What training changes, and the edges that it is trained on, as arrays in memory."""

from dataclasses import dataclass

from twhin_spark.kernels.arrays import Floats, Integers


@dataclass
class EntityRows:
    """The loaded entities of one type: vectors float32 (n, dim), Adagrad accumulators float32 (n,).

    share: the part that they are of all entities of the type, above 0 and up to 1.
    """

    vectors: Floats
    accumulators: Floats
    share: float = 1.0


@dataclass
class DirectionParameters:
    """A relation's parameters in one direction and their Adagrad accumulators, both float32 (parameter_count(dim),)."""

    values: Floats
    accumulators: Floats


@dataclass
class RelationModel:
    """A relation between two entity types. backward is None where it is one-sided; weight multiplies its edges'."""

    source_type: str
    target_type: str
    operator: str
    weight: float
    forward: DirectionParameters
    backward: DirectionParameters | None = None


@dataclass
class Model:
    """Everything that training changes: entities by type, relations by number."""

    entities: dict[str, EntityRows]
    relations: dict[int, RelationModel]


@dataclass(frozen=True)
class Edges:
    """n edges: source and target int32 (n,) rows of their types' entities, relation int16 (n,), weight float32 (n,)."""

    source: Integers
    target: Integers
    relation: Integers
    weight: Floats
