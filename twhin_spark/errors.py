"""The errors that a user can act on. Any other exception is a bug.

Each line of a message says what is wrong, what is required and what to do. The command prints it without a stack
trace and exits with the error's code.
"""

from __future__ import annotations

from typing import ClassVar


class TwhinError(Exception):
    """A job could not do its work. Base class of all errors of this package."""

    exit_code: ClassVar[int] = 1


class ConfigError(TwhinError):
    """The config is invalid. The message names the dotted path of the option."""

    exit_code = 2


class InputError(TwhinError):
    """The logs, or the tables and files that a job reads, are missing or invalid."""

    exit_code = 2


class TrainingError(TwhinError):
    """Training diverged or lost its state. The message names the round, the relation and the learning rate."""
