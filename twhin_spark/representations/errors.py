"""What can go wrong between a question and its answer."""

from __future__ import annotations

from collections.abc import Iterable
from typing import ClassVar

from twhin_spark.errors import InputError, TwhinError


class StoreError(TwhinError):
    """A store is incomplete or damaged. It is not served, and the next sync builds it anew."""


class QuestionError(InputError):
    """The question cannot be answered as it is asked. `status` is the HTTP status that says so."""

    status: ClassVar[int] = 422


class NotServedError(QuestionError):
    """The question names a family, version or ranking that is not served, or asks for one entity that has no vector."""

    status = 404


def one_of(names: Iterable[str]) -> str:
    """The names for the end of a message: `allowed: one of tweet, user`."""
    return "one of " + (", ".join(sorted(names)) or "none")


def first_line(error: BaseException) -> str:
    """What another library's error says, on one line."""
    return next((line.strip() for line in str(error).splitlines() if line.strip()), type(error).__name__)
