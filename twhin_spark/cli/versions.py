"""The commands of `twhin-spark versions`: published versions as objects."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import click

from twhin_spark.cli.options import EPILOG, Result, with_run
from twhin_spark.cli.runner import CommandRun


@click.group()
def versions() -> None:
    """List, show, compare, tag, roll back and delete published versions."""


@versions.command("list", epilog=EPILOG)
@with_run()
def list_all(run: CommandRun) -> Result:
    """List the published versions, the latest first."""
    listed = _with_store(run, lambda manage, store: manage.list_versions(store))
    from twhin_spark.cli.previews import show_versions

    show_versions(listed, run.printer)
    return {"versions": listed}


@versions.command(epilog=EPILOG)
@with_run()
@click.argument("version")
def show(run: CommandRun, version: str) -> Result:
    """Say all of a version: run, config, code, data, metrics, gates, drift."""
    shown: Result = _with_store(run, lambda manage, store: manage.show_version(store, version))
    return shown


@versions.command(epilog=EPILOG)
@with_run()
@click.argument("first")
@click.argument("second")
def diff(run: CommandRun, first: str, second: str) -> Result:
    """Measure how far vectors moved from one version to another; compare their metrics."""
    difference: Result = _with_store(run, lambda manage, store: manage.diff_versions(store, first, second))
    from twhin_spark.cli.previews import show_drift

    show_drift(difference, run.printer)
    return difference


@versions.command(epilog=EPILOG)
@with_run()
@click.argument("version")
def rollback(run: CommandRun, version: str) -> Result:
    """Make a version the current one. No vector is copied."""
    done: Result = _with_store(run, lambda manage, store: manage.roll_back(store, version, run.printer.progress))
    return done


@versions.command(epilog=EPILOG)
@with_run()
@click.argument("version")
@click.argument("tag")
def tag(run: CommandRun, version: str, tag: str) -> Result:
    """Give a version a name that stays with it. A tagged version is never vacuumed."""
    done: Result = _with_store(run, lambda manage, store: manage.tag_version(store, version, tag))
    return done


@versions.command(epilog=EPILOG)
@with_run()
@click.argument("tag")
def untag(run: CommandRun, tag: str) -> Result:
    """Remove a tag from its version."""
    done: Result = _with_store(run, lambda manage, store: manage.untag_version(store, tag))
    return done


@versions.command(epilog=EPILOG)
@with_run()
@click.option("--keep", default=7, type=click.IntRange(min=1), help="Newest versions that stay.")
@click.option("--dry-run", is_flag=True, help="Say what would be deleted and what that frees; delete nothing.")
def vacuum(run: CommandRun, keep: int, dry_run: bool) -> Result:
    """Delete the vectors of versions that are not current, tagged, served or new, and the state of their runs."""
    config = run.config
    from twhin_spark.publishing.vacuum import vacuum as delete_unneeded
    from twhin_spark.tables.delta import TableStore

    store = TableStore(run.spark, config.output)
    return delete_unneeded(store, config, run.printer.progress, keep=keep, dry_run=dry_run)


def _with_store(run: CommandRun, work: Callable[[Any, Any], Any]) -> Any:
    """Run a function of `manage_versions` on the tables of the config's output."""
    config = run.config
    from twhin_spark.publishing import manage_versions
    from twhin_spark.tables.delta import TableStore

    return work(manage_versions, TableStore(run.spark, config.output))
