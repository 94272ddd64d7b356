"""Arrays that training changes, and the edges that it reads."""

from dataclasses import dataclass

from twhin_spark.kernels.arrays import Floats, Integers


@dataclass
class EntityRows:
    """The loaded entities of one type.

    Attributes
    ----------
    vectors
        float32 (n, dim).
    accumulators
        Adagrad accumulators, float32 (n,).
    share
        The part of all entities of the type that is loaded, above 0 and up to 1.
    trained
        Number of rows that training updates, the first ones; the others only take part in scores. None: all.
    """

    vectors: Floats
    accumulators: Floats
    share: float = 1.0
    trained: int | None = None


@dataclass
class DirectionParameters:
    """Parameters of a relation's operator in one direction, and their Adagrad accumulators.

    Attributes
    ----------
    values, accumulators
        float32 (k,), k = `parameter_count(dim)`; stacked for the R relations of a `RelationBatch`, (R, k).
    """

    values: Floats
    accumulators: Floats


@dataclass
class RelationModel:
    """A relation between two entity types.

    Attributes
    ----------
    source_type, target_type
        Entity types of the edges' ends.
    operator
        A name in OPERATORS.
    weight
        Factor of the edges' weights.
    forward
        Parameters that change sources.
    backward
        Parameters that change targets, or None if the relation is one-sided.
    frozen
        If true, training does not update the parameters.
    """

    source_type: str
    target_type: str
    operator: str
    weight: float
    forward: DirectionParameters
    backward: DirectionParameters | None = None
    frozen: bool = False


@dataclass
class Model:
    """Everything that training changes.

    Attributes
    ----------
    entities
        Loaded entities by type.
    relations
        Relations by number.
    """

    entities: dict[str, EntityRows]
    relations: dict[int, RelationModel]


@dataclass(frozen=True)
class Edges:
    """n edges.

    Attributes
    ----------
    source, target
        Rows in the loaded entities of the relation's source type and target type, int32 (n,).
    relation
        Relation numbers, int16 (n,).
    weight
        float32 (n,), above 0.
    """

    source: Integers
    target: Integers
    relation: Integers
    weight: Floats
