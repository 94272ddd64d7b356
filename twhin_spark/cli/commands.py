"""The commands of `twhin-spark`.

Exit codes: 0 done; 2 the config or the input is wrong; 1 anything else. This module imports click alone: what a
command needs beyond that is imported when it runs, so that `--help` answers at once.
"""

from __future__ import annotations

import sys
from dataclasses import asdict
from pathlib import Path
from typing import Any

import click

from twhin_spark import __version__
from twhin_spark.cli.console import Printer
from twhin_spark.cli.options import EPILOG, Command, Result, with_run
from twhin_spark.cli.runner import CommandRun

_POSITIVE = click.FloatRange(min=0, min_open=True)


def main(*arguments: str) -> None:
    """Run the command line and end the process with its exit code.

    Parameters
    ----------
    arguments
        Come before those of the process; the files in `jobs/` pass the name of their command.
    """
    try:
        cli.main(args=[*arguments, *sys.argv[1:]], prog_name="twhin-spark", standalone_mode=False)
    except click.exceptions.NoArgsIsHelpError as error:
        error.show()
        sys.exit(error.exit_code)
    except click.ClickException as error:
        context = getattr(error, "ctx", None)
        hint = f"; see `{context.command_path} --help`" if context else ""
        Printer().error(error.format_message().rstrip(".").replace("\n", " ") + hint)
        sys.exit(error.exit_code)
    except click.Abort:
        sys.exit(1)


@click.group(context_settings={"help_option_names": ["-h", "--help"], "show_default": True, "max_content_width": 120})
@click.version_option(__version__)
def cli() -> None:
    """Learn embeddings of users and items from interaction logs, and publish them as versioned Delta tables."""


def _training_flags(function: Command) -> Command:
    for option in (
        click.option(
            "--take-over", is_flag=True, help="Train although another driver holds the run: you know that it is dead."
        ),
        click.option("--resume", is_flag=True, help="Continue this config's stopped training after its last commit."),
    ):
        function = option(function)
    return function


@cli.command(epilog=EPILOG)
@with_run()
def build_graph(run: CommandRun) -> Result:
    """Clean the logs and build the graph's tables."""
    return run.job("build_graph")


@cli.command(epilog=EPILOG)
@with_run()
@_training_flags
def train(run: CommandRun, **flags: bool) -> Result:
    """Train the vectors on the latest graph."""
    return run.job("train", **flags)


@cli.command(epilog=EPILOG)
@with_run()
def evaluate(run: CommandRun) -> Result:
    """Measure the trained run beside its baselines; write the report."""
    return run.job("evaluate")


@cli.command(epilog=EPILOG)
@with_run()
@click.option("--force", is_flag=True, help="Publish although quality gates fail; --reason is required.")
@click.option("--reason", metavar="TEXT", help="Why it is forced; recorded with the version.")
def publish(run: CommandRun, force: bool, reason: str | None) -> Result:
    """Commit the trained run as the current model version."""
    if force != bool(reason):
        missing, given = ("--reason", "--force") if force else ("--force", "--reason")
        raise click.UsageError(f"{given} is given, so {missing} is required")
    return run.job("publish", force=reason)


@cli.command(epilog=EPILOG)
@with_run()
@click.option("--fast", is_flag=True, help="Take the mean of the neighbours' vectors, without gradient steps.")
def fold_in(run: CommandRun, fast: bool) -> Result:
    """Append vectors for the latest graph's new entities to the current version."""
    config = run.config
    from twhin_spark.publishing.fold_in import fold_in as append_new_entities

    return append_new_entities(run.spark, config, run.printer.progress, fast=fast).as_dict()


@cli.command(epilog=EPILOG)
@with_run()
@_training_flags
def pipeline(run: CommandRun, **flags: bool) -> Result:
    """Run build-graph, train, evaluate and publish, one after the other."""
    return run.job("pipeline", **flags)


@cli.command(epilog=EPILOG)
@with_run()
def communities(run: CommandRun) -> Result:
    """Find communities of producers, and publish sparse representations of consumers, producers and items."""
    summary = run.job("build_communities")
    from twhin_spark.cli.previews import show_communities

    show_communities(run.spark, run.config, summary, run.printer)
    return summary


@cli.command(epilog=EPILOG)
@with_run()
def candidates(run: CommandRun) -> Result:
    """Find candidates for the config's queries in a published version."""
    summary = run.job("find_candidates")
    from twhin_spark.cli.previews import show_candidates

    show_candidates(run.spark, run.config, summary, run.printer)
    return summary


@cli.command(epilog=EPILOG)
@with_run()
@click.option("--entities", type=click.IntRange(min=1), help="Entities of all types; default: as in the latest graph.")
@click.option("--edges", type=click.IntRange(min=0), help="Distinct training edges; default: as in the latest graph.")
@click.option(
    "--machines",
    type=click.IntRange(min=1),
    help="Executors, one on each machine; default: those of Spark, or 1 if Spark is not started.",
)
@click.option(
    "--cores",
    type=click.IntRange(min=1),
    help="Cores of one executor; default: those of Spark, or this machine's if Spark is not started.",
)
@click.option(
    "--memory-gb",
    type=_POSITIVE,
    help="GB of memory of one machine, of which tasks get 70%; default: as training.task_memory_gb says.",
)
@click.option(
    "--network-gbit",
    type=_POSITIVE,
    help="Gbit/s of the link of one machine; default: as fast as `output` is here.",
)
@click.option(
    "--store-gbit",
    type=_POSITIVE,
    help="Gbit/s of the store, for all machines together; default: it bounds nothing.",
)
@click.option(
    "--edges-per-second",
    type=_POSITIVE,
    help="Edges that one core trains in a second; default: measured here, in about two seconds.",
)
def plan(run: CommandRun, **figures: Any) -> Result:
    """Forecast a training: groups, rounds, memory of a task, bytes and seconds of an epoch.

    Exits with 2 if a task would not fit training.task_memory_gb. Starts Spark only if --entities or --edges is missing.
    """
    config = run.config
    from twhin_spark import stages

    forecast = stages.plan(config, open_session=lambda: run.spark, **figures)
    for line in forecast.lines():
        run.printer.progress(line)
    return forecast.as_dict()


@cli.command(epilog=EPILOG)
@with_run(default_config="demo.yaml")
@click.option("--out", default="build/demo", help="Folder for logs, tables and report.")
@click.option("--scale", default=1.0, type=_POSITIVE, help="Size: 1 is a million events.")
@_training_flags
def demo(run: CommandRun, out: str, scale: float, **flags: bool) -> Result:
    """Generate logs with planted communities, run the pipeline on them, show what it has learned."""
    from twhin_spark.cli.demo.sources import demo_overrides

    logs = Path(out) / "logs"
    run.overrides[:0] = demo_overrides(Path(out))
    _ = run.config  # a mistake in it is found before the logs are generated
    from twhin_spark.cli.demo.generate import generate
    from twhin_spark.cli.demo.preview import show_demo

    run.printer.progress(f"generating logs in {logs}")
    generate(logs, scale=scale)
    summary = run.job("pipeline", **flags)
    show_demo(run.spark, run.config, summary, run.printer)
    return summary


@cli.command(epilog=EPILOG)
@with_run(default_config="higgs.yaml")
@click.option("--out", default="build/higgs", help="Folder for tables and report.")
@_training_flags
def higgs(run: CommandRun, out: str, **flags: bool) -> Result:
    """Run the pipeline on real Twitter logs (SNAP Higgs), from TWHIN_DATA_HOME if it is set, else downloaded."""
    from twhin_spark.cli.demo.sources import higgs_overrides

    run.overrides[:0] = higgs_overrides(Path(out), run.printer.progress)
    return run.job("pipeline", **flags)


@cli.command()
def setup() -> None:
    """Find Java, and fetch Delta's jars if they are missing. A job does so itself when it starts Spark."""
    with CommandRun(None, (), verbose=False) as run:
        from twhin_spark.tables.delta_jars import require_jars
        from twhin_spark.tables.java import require_java

        java_home = require_java()
        jars = require_jars(java_home, run.printer.progress)
        run.printer.progress(f"Java: {java_home}; Delta's jars: {jars[0].parent}")


@cli.command()
@with_run(has_result=False)
def serve(run: CommandRun) -> None:
    """Serve the published vectors over HTTP: representations, neighbours, scores. Needs no Java."""
    config = run.config
    from twhin_spark.serving.web.server import serve as run_service

    run_service(config.serving, config.output, config.retrieval.ann)


@cli.command()
@with_run(requires_config=False, has_result=False)
@click.argument("query")
@click.option("--rows", default=100, type=click.IntRange(min=1), help="Most rows that are shown.")
def sql(run: CommandRun, query: str, rows: int) -> None:
    """Run one Spark SQL query, such as: SELECT * FROM twhin_vectors LIMIT 3.

    With --config the query may name that config's views and functions. A table by path needs an absolute one.
    """
    if run.has_config:
        config = run.config
        from twhin_spark.sql.register import register

        register(run.spark, config)
    run.spark.sql(query).show(rows, truncate=60)


@cli.command(epilog=EPILOG)
@with_run()
@click.argument("entity", nargs=2, metavar="TYPE ID")
@click.option("--relation", metavar="NAME", help="Relation that leads from the entity to the content; default: none.")
@click.option("--of", "content_type", metavar="TYPE", help="Type of the content; default: the relation's, or TYPE.")
@click.option(
    "--clusters",
    type=click.IntRange(min=1),
    help="Clusters of content; default: the root of the number of its vectors.",
)
@click.option("--show", default=5, type=click.IntRange(min=1), help="Clusters that are shown, and members of each.")
@click.option("--communities", is_flag=True, help="Use the entity's communities instead of clusters of vectors.")
def describe(
    run: CommandRun,
    entity: tuple[str, str],
    relation: str | None,
    content_type: str | None,
    clusters: int | None,
    show: int,
    communities: bool,
) -> Result:
    """Say what an entity is about: the nearest clusters of content, with their most typical members.

    With --communities: its communities, with the members that are known for them.
    """
    config = run.config
    if communities:
        return _describe_by_communities(run, entity, show)
    from twhin_spark.cli.previews import show_clusters
    from twhin_spark.sql.content_clusters import cluster_content

    if content_type is None:
        content_type = config.relations[relation].target if relation in config.relations else entity[0]
    content = cluster_content(run.spark, config, content_type, clusters=clusters, typical=show)
    nearest = content.describe(*entity, relation=relation, count=show)
    show_clusters([(cosine, cluster.size, cluster.typical) for cosine, cluster in nearest], run.printer)
    return {
        "entity": entity,
        "model_version": content.version.model_version,
        "relation": relation,
        "content": content.entity_type,
        "clusters": [{"cosine": cosine, **asdict(cluster)} for cosine, cluster in nearest],
    }


def _describe_by_communities(run: CommandRun, entity: tuple[str, str], show: int) -> Result:
    from twhin_spark.cli.previews import show_entity_communities
    from twhin_spark.sql.entity_communities import entity_communities

    described = entity_communities(run.spark, run.config, *entity, count=show)
    show_entity_communities(described.families, run.printer)
    return {"entity": entity, **asdict(described)}


def _add_groups() -> None:
    from twhin_spark.cli.versions import versions

    cli.add_command(versions)


_add_groups()
