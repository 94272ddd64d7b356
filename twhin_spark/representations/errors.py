"""Errors of reading representations, and parts of their messages."""

from __future__ import annotations

from collections.abc import Iterable
from typing import ClassVar

from twhin_spark.errors import InputError, TwhinError


class StoreError(TwhinError):
    """A store is incomplete or damaged. It is not served, and the next sync builds it again."""


class RequestError(InputError):
    """A request for representations or scores is invalid. `status` is the HTTP status of the response."""

    status: ClassVar[int] = 422


class NotServedError(RequestError):
    """A request names a family, version or ranking that is not served, or a single entity without a representation."""

    status = 404


def one_of(names: Iterable[str]) -> str:
    """Return the end of a message that lists the names to choose from, such as `one of tweet, user`."""
    return "one of " + (", ".join(sorted(names)) or "none")


def first_line(error: BaseException) -> str:
    """Return the first line of another library's error."""
    return next((line.strip() for line in str(error).splitlines() if line.strip()), type(error).__name__)
