"""The page docs/tables.md, printed from the tables' schemas by `python -m twhin_spark.tables.reference`."""

from __future__ import annotations

import sys

from twhin_spark.tables.schemas import TABLES

_HEAD = """# Tables

<!-- Printed from the code by `make docs`. -->

Delta tables under `OUTPUT/tables/NAME`. The tables have the same column comments.
"""


def reference() -> str:
    """Return the schemas in Markdown, one table for each, in the order in which the jobs write them."""
    parts = [_HEAD]
    for table in TABLES:
        parts.append(f"## {table.name}\n\n{table.comment}.\n\n| column | type | meaning |\n| --- | --- | --- |")
        parts += [f"| `{column.name}` | {column.type} | {column.comment} |" for column in table.columns]
        parts.append("")
    return "\n".join(parts)


if __name__ == "__main__":
    sys.stdout.write(reference() + "\n")
