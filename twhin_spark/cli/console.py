"""Messages to a person, on stderr: progress, tables and errors. stdout carries only results.

rich is imported when the first table is printed, so that help and errors answer at once.
"""

from __future__ import annotations

import time
from functools import cached_property
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

_LOG_COLUMNS = 120


class Printer:
    """Prints to stderr, with the time since the command began."""

    def __init__(self) -> None:
        self._started = time.monotonic()

    def progress(self, line: str) -> None:
        minutes, seconds = divmod(int(time.monotonic() - self._started), 60)
        click.echo(click.style(f"{minutes:02d}:{seconds:02d}  ", dim=True) + line, err=True)

    def line(self, text: str = "") -> None:
        click.echo(text, err=True)

    def table(self, table: Table) -> None:
        self._console.print(table)

    def error(self, message: str) -> None:
        for line in message.splitlines():
            shown = "".join(sign if sign.isprintable() else "?" for sign in line)
            click.echo(click.style("error: ", fg="red") + shown, err=True)

    @cached_property
    def _console(self) -> Console:
        from rich.console import Console

        console = Console(stderr=True, highlight=False, soft_wrap=True)
        if not console.is_terminal:
            console.width = _LOG_COLUMNS  # a log file has no width, and rich would cut tables to 80 columns
        return console
