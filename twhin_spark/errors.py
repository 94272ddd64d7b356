"""The errors that a person can act on. Anything else that is raised is a bug.

Each message is one line: what was found, what is allowed or expected, what to do. `cli` prints it without a stack trace
and exits with the error's code.
"""

from __future__ import annotations

from typing import ClassVar


class TwhinError(Exception):
    """A job could not do its work. The root of every error that this package raises on purpose."""

    exit_code: ClassVar[int] = 1


class ConfigError(TwhinError):
    """The config is wrong. The message names the dotted path of the field."""

    exit_code = 2


class InputError(TwhinError):
    """The logs, or the tables and files that a job starts from, are missing or wrong."""

    exit_code = 2


class TrainingError(TwhinError):
    """Training diverged or lost its state. The message names the round, the relation and the learning rate."""
