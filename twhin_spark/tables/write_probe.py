"""A small file that is written to an output, read and deleted: can this process use it? Used on driver and workers."""

from __future__ import annotations

from uuid import uuid4

from pyarrow import ArrowException, fs

from twhin_spark.locations import absolute


def write_problem(output: str) -> str | None:
    """Return why this process cannot write to the output, read from it, or delete there; None if it can."""
    name = f".probe-{uuid4().hex}"
    doing = "write to"
    try:
        system, root = fs.FileSystem.from_uri(absolute(output))
        system.create_dir(root)
        with system.open_output_stream(f"{root}/{name}") as stream:
            stream.write(name.encode())
        doing = "read from"
        with system.open_input_stream(f"{root}/{name}") as stream:
            found = stream.read().decode()
        doing = "delete in"
        system.delete_file(f"{root}/{name}")
    except (OSError, ArrowException) as error:
        reason = " ".join(str(error).split())
        return f"it cannot {doing} {output}: {reason}; it needs the endpoint, the credentials and the rights to"
    return None if found == name else f"it reads something else from {output} than it wrote"
