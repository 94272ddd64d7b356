"""The command line: argv → config → session → a job → exit code.

Exit codes: 0 done; 2 the config or the input is wrong; 1 anything else.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from dataclasses import asdict
from functools import partial
from pathlib import Path

import click

from twhin_spark import __version__, stages
from twhin_spark.cli.console import Printer
from twhin_spark.cli.demo.preview import show_demo
from twhin_spark.cli.demo.sources import demo_overrides, higgs_overrides
from twhin_spark.cli.previews import show_candidates
from twhin_spark.cli.runner import RunJob, Show, fail, log_file_of, run_to_end
from twhin_spark.config import load_config
from twhin_spark.errors import TwhinError
from twhin_spark.sql.content_clusters import cluster_content
from twhin_spark.sql.register import register
from twhin_spark.tables.session import open_session

_TRAINING_FLAGS = {
    "--resume": "Go on after the last committed round of this config's training, if it was stopped.",
    "--take-over": "Train although another driver holds the run: you know that it is dead.",
}
_EPILOG = "The last line of stdout is the result as one JSON object; progress and errors go to stderr."


def main(*arguments: str) -> None:
    """Runs the command line; `arguments` come before those of the process. Ends the process with the exit code."""
    cli.main(args=[*arguments, *sys.argv[1:]], prog_name="twhin-spark")


@click.group(context_settings={"help_option_names": ["-h", "--help"], "show_default": True})
@click.version_option(__version__)
def cli() -> None:
    """Interaction logs in, versioned Delta tables of TwHIN embeddings out."""


def _config_options(default: str | None = None) -> Callable[[Callable[..., None]], Callable[..., None]]:
    def add(command: Callable[..., None]) -> Callable[..., None]:
        for option in (
            click.option("--verbose", is_flag=True, help="Spark's log and stack traces on stderr."),
            click.option(
                "--set", "overrides", multiple=True, metavar="A.B=VALUE",
                help="Override one option of the config (value in YAML); may be given again.",
            ),
            click.option(
                "--config", "config_file", required=default is None, default=default, metavar="FILE",
                help="Config in YAML; docs/config.md lists its options with defaults and units.",
            ),
        ):  # fmt: skip
            command = option(command)
        return command

    return add


def _training_flags(command: Callable[..., None]) -> Callable[..., None]:
    for flag, help_line in _TRAINING_FLAGS.items():
        command = click.option(flag, is_flag=True, help=help_line)(command)
    return command


def _job(
    name: str,
    run: RunJob,
    help_text: str,
    *,
    reads_logs: bool = False,
    trains: bool = False,
    then: Show | None = None,
) -> None:
    def command(config_file: str, overrides: tuple[str, ...], verbose: bool, **how: bool) -> None:
        run_to_end(partial(run, **how), config_file, overrides, verbose, reads_logs=reads_logs, then=then)

    if trains:
        command = _training_flags(command)
    cli.command(name, help=help_text, epilog=_EPILOG)(_config_options()(command))


_job("build-graph", stages.run_build_graph, "Clean the logs and build the graph's tables.", reads_logs=True)
_job("train", stages.run_train, "Train the vectors on the latest graph.", trains=True)
_job("evaluate", stages.run_evaluate, "Measure the trained run beside its baselines; write the report.")
_job("publish", stages.run_publish, "Commit the trained run as the current model version.")
_job(
    "candidates",
    stages.run_candidates,
    "Find candidates for the config's queries in a published version.",
    then=show_candidates,
)
_job(
    "pipeline",
    stages.run_pipeline,
    "build-graph, train, evaluate and publish, one after the other.",
    reads_logs=True,
    trains=True,
)


@cli.command(epilog=_EPILOG)
@_config_options()
@click.option("--entities", type=click.IntRange(min=1), help="Entities of all types; default: as in the latest graph.")
@click.option("--edges", type=click.IntRange(min=0), help="Distinct training edges; default: as in the latest graph.")
@click.option(
    "--slots",
    type=click.IntRange(min=1),
    help="Tasks that run at once; default: those of the Spark session, without one the cores of this machine.",
)
@click.option(
    "--edges-per-second",
    type=click.FloatRange(min=0, min_open=True),
    help="Edges that one slot trains in a second; default: measured here, in about two seconds.",
)
def plan(
    config_file: str,
    overrides: tuple[str, ...],
    verbose: bool,
    entities: int | None,
    edges: int | None,
    slots: int | None,
    edges_per_second: float | None,
) -> None:
    """Say what training will take: groups, rounds, memory of a task, bytes and seconds of an epoch.

    Exits with 2 where a task would not fit training.task_memory_gb. Starts Spark only where a count is not given.
    """
    printer = Printer()
    try:
        config = load_config(config_file, overrides)
        found = stages.make_plan(
            config,
            entities=entities,
            edges=edges,
            slots=slots,
            edges_per_second=edges_per_second,
            open_session=partial(open_session, f"twhin-spark {config.name}", verbose=verbose),
        )
    except Exception as error:
        fail(printer, error, verbose=verbose)
    for line in found.lines():
        printer.progress(line)
    click.echo(json.dumps(found.as_dict()))


@cli.command(epilog=_EPILOG)
@_config_options("conf/demo.yaml")
@click.option("--out", default="build/demo", help="Folder for logs, tables and report.")
@click.option("--scale", default=1.0, type=click.FloatRange(min=0, min_open=True), help="1 is 1M events.")
@_training_flags
def demo(
    config_file: str, overrides: tuple[str, ...], verbose: bool, out: str, scale: float, resume: bool, take_over: bool
) -> None:
    """Generate logs with planted communities, run the pipeline on them, show what comes out."""
    printer = Printer()
    try:
        planted = demo_overrides(Path(out), scale, printer.progress)
    except (TwhinError, OSError) as error:
        fail(printer, error, verbose=verbose)
    run = partial(stages.run_pipeline, resume=resume, take_over=take_over)
    run_to_end(run, config_file, [*planted, *overrides], verbose, reads_logs=True, then=show_demo)


@cli.command(epilog=_EPILOG)
@_config_options("conf/higgs.yaml")
@click.option("--out", default="build/higgs", help="Folder for tables and report.")
@_training_flags
def higgs(config_file: str, overrides: tuple[str, ...], verbose: bool, out: str, resume: bool, take_over: bool) -> None:
    """Run the pipeline on real Twitter logs (SNAP Higgs): TWHIN_DATA_HOME, ../shared/data, or a download."""
    printer = Printer()
    try:
        found = higgs_overrides(Path(out), printer.progress)
    except (TwhinError, OSError) as error:
        fail(printer, error, verbose=verbose)
    run = partial(stages.run_pipeline, resume=resume, take_over=take_over)
    run_to_end(run, config_file, [*found, *overrides], verbose, reads_logs=True)


@cli.command()
@_config_options()
def serve(config_file: str, overrides: tuple[str, ...], verbose: bool) -> None:
    """Serve the published vectors over HTTP: representations, neighbours, scores. Needs no Java."""
    from twhin_spark.serving.web.server import serve as run_service  # the web's packages are for this command alone

    try:
        config = load_config(config_file, overrides)
        run_service(config.serving, config.output, config.retrieval.ann)
    except Exception as error:  # one line and an exit code, as for a job
        fail(Printer(), error, verbose=verbose)


@cli.command()
@click.argument("query")
@click.option("--config", "config_file", metavar="FILE", help="Config whose views and functions the query may name.")
@click.option("--rows", default=100, type=click.IntRange(min=1), help="Most rows that are shown.")
def sql(query: str, config_file: str | None, rows: int) -> None:
    """Run one Spark SQL query: SELECT * FROM twhin_vectors LIMIT 3. Tables by path need an absolute one."""
    printer = Printer()
    try:
        config = load_config(config_file) if config_file else None
        spark = open_session("twhin-spark sql")
        if config:
            register(spark, config)
        spark.sql(query).show(rows, truncate=60)
        spark.stop()
    except Exception as error:  # a wrong query is the user's, and one line says what is wrong with it
        fail(printer, error)


@cli.command(epilog=_EPILOG)
@_config_options()
@click.argument("entity", nargs=2, metavar="TYPE ID")
@click.option("--relation", metavar="NAME", help="Relation that leads from the entity to the content; by default none.")
@click.option("--of", "content_type", metavar="TYPE", help="Type of the content; by default the relation's, or TYPE.")
@click.option("--clusters", type=click.IntRange(min=1), help="Clusters of content; by default the root of its number.")
@click.option("--show", default=5, type=click.IntRange(min=1), help="Clusters that are shown, and members of each.")
def describe(
    config_file: str,
    overrides: tuple[str, ...],
    verbose: bool,
    entity: tuple[str, str],
    relation: str | None,
    content_type: str | None,
    clusters: int | None,
    show: int,
) -> None:
    """Say what an entity is about: the nearest clusters of content, with their most typical members."""
    printer = Printer()
    log_file: Path | None = None
    try:
        config = load_config(config_file, overrides)
        leads_to = config.relations[relation].target if relation in config.relations else None
        log_file = log_file_of(config)
        spark = open_session(f"twhin-spark {config.name}", verbose=verbose, log_file=log_file)
        content = cluster_content(spark, config, content_type or leads_to or entity[0], clusters=clusters, typical=show)
        nearest = content.describe(*entity, relation=relation, count=show)
        spark.stop()
    except Exception as error:
        fail(printer, error, log_file, verbose=verbose)
    printer.clusters([(cosine, cluster.size, cluster.typical) for cosine, cluster in nearest])
    result = {"entity": entity, "model_version": content.version.model_version, "relation": relation}
    shown = [{"cosine": cosine, **asdict(cluster)} for cosine, cluster in nearest]
    click.echo(json.dumps({**result, "content": content.entity_type, "clusters": shown}))
