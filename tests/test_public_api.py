"""The public API: `import twhin_spark`."""

from __future__ import annotations

import inspect

import pytest

import twhin_spark


@pytest.mark.parametrize("name", twhin_spark.__all__)
def test_each_public_name_resolves_and_is_documented(name: str) -> None:
    value = getattr(twhin_spark, name)
    assert name in dir(twhin_spark)
    assert name == "__version__" or inspect.getdoc(value)


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="no attribute 'no_such_name'"):
        twhin_spark.no_such_name  # noqa: B018
