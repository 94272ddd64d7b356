"""Sums of doubles that do not depend on the order of the addends."""

from __future__ import annotations

from pyspark.sql import Column
from pyspark.sql import functions as F

_STEP = 2.0**31
RESOLUTION = 2.0**-62


def exact_sum(value: Column) -> Column:
    """Return an aggregate: the sum of doubles in [0, 2^31), each rounded down to a multiple of 2^-62 (about 2e-19).

    Spark adds in whatever order rows arrive in, and floating-point addition is not associative, so a plain sum differs
    in its last bits from run to run. Here every addend is cut into three whole numbers, its multiples of 1, 2^-31 and
    2^-62; the cuts are exact, and so are the three sums of integers (up to 2^31 addends). Only the total is rounded.

    For example, 2.75 is cut into 2, 0.75 · 2^31 = 1610612736 and 0. In floating point, (0.1 + 0.2) + 0.3 is
    0.6000000000000001 and 0.1 + (0.2 + 0.3) is 0.6; the sums of the three parts are equal in both orders.
    """
    whole = F.floor(value)
    middle = (value - whole) * _STEP  # in [0, 2^31)
    small = (middle - F.floor(middle)) * _STEP
    return F.sum(whole) + (F.sum(F.floor(middle)) / _STEP + F.sum(F.floor(small)) / _STEP / _STEP)
