"""README and the pages name only commands, options, files, config keys and functions that exist; links resolve."""

from __future__ import annotations

import ast
import importlib
import inspect
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
import pytest
import yaml
from pydantic import ValidationError

import twhin_spark
from twhin_spark.cli.commands import cli
from twhin_spark.config import Config, load_config
from twhin_spark.config.reference import reference
from twhin_spark.tables.schemas import TABLES

ROOT = Path(__file__).parents[1]
WRITTEN = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md")])
PAGES = sorted([*WRITTEN, *(ROOT / "docs/results").glob("*.md")])
FOLDERS = "twhin_spark|tests|benchmarks|conf|jobs|docs|examples|notebooks"

each_page = pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
each_written_page = pytest.mark.parametrize("page", WRITTEN, ids=lambda page: str(page.relative_to(ROOT)))


def _code_blocks(page: Path, language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", page.read_text(), re.M | re.S)


def _inline_code(page: Path) -> list[str]:
    return re.findall(r"`([^`\n]+)`", re.sub(r"^```.*?^```", "", page.read_text(), flags=re.M | re.S))


def _commands(page: Path) -> Iterator[str]:
    """The lines of shell in a page, continued lines joined, without comments."""
    for block in _code_blocks(page, "sh"):
        for line in block.replace("\\\n", " ").splitlines():
            yield line.partition(" #")[0]
    yield from _inline_code(page)


def _anchors(page: Path) -> set[str]:
    text = re.sub(r"^```.*?^```", "", page.read_text(), flags=re.M | re.S)
    titles = re.findall(r"^#+ (.+)$", text, re.M)
    return {re.sub(r"[-\s]+", "-", re.sub(r"[^\w\s-]", "", title).strip().lower()) for title in titles}


@each_page
def test_links_resolve(page: Path) -> None:
    for link in re.findall(r"\]\(([^)\s]+)\)", page.read_text()):
        if link.startswith(("http://", "https://")):
            continue
        name, _, anchor = link.partition("#")
        target = page.parent / name if name else page
        assert target.exists(), link
        assert not anchor or anchor in _anchors(target), link
        assert page.parent == ROOT or target.resolve().is_relative_to(ROOT / "docs"), f"{link}: not a part of the site"


@each_page
def test_named_files_exist(page: Path) -> None:
    for code in _inline_code(page):
        if re.fullmatch(rf"(?:{FOLDERS})/[\w./-]+", code):
            assert (ROOT / code).exists(), code


@each_page
def test_make_targets_exist(page: Path) -> None:
    makefile = (ROOT / "Makefile").read_text()
    targets = set(re.findall(r"^([a-z-]+):", makefile, re.M))
    for command in _commands(page):
        for target in re.findall(r"^\s*(?:[A-Z_]+=\S+ )*make (?:[A-Z]+=\S+ )*([a-z][\w-]*)", command):
            assert target in targets or target.startswith(("bench-", "quality-")), command


@each_page
def test_commands_and_their_options_exist(page: Path) -> None:
    for command in _commands(page):
        for name, rest in re.findall(r"twhin-spark (\w[\w-]*)([^|;&]*)", command):
            if name.isupper():  # a placeholder
                continue
            assert name in cli.commands, command
            options = {option for parameter in _command(name, rest).params for option in parameter.opts}
            assert set(re.findall(r"(?<!\S)--[a-z-]+", rest)) <= options, command
        for module in re.findall(r"python -m (benchmarks[\w.]*)", command):
            assert importlib.util.find_spec(module), command


def _command(name: str, rest: str) -> click.Command:
    """Return a command or, of a group, the one of its commands that the rest of the line names."""
    command = cli.commands[name]
    while isinstance(command, click.Group) and (words := rest.split()) and words[0].islower():
        assert words[0] in command.commands, f"{name} {rest}"
        command, rest = command.commands[words[0]], rest.partition(words[0])[2]
    return command


@each_written_page
def test_options_of_a_job_are_those_of_its_page(page: Path) -> None:
    if (name := page.stem) not in cli.commands:
        return
    command = cli.commands[name]
    known = {option for parameter in command.params for option in parameter.opts}
    table = {code.split()[0] for code in _inline_code(page) if re.match(r"--[a-z]", code)}
    assert table <= known
    shared = {option for parameter in cli.commands["build-graph"].params for option in parameter.opts}
    assert {option for option in known if option.startswith("--")} - shared <= table, "an option without a description"


@each_written_page
def test_config_keys_exist(page: Path) -> None:
    keys = re.findall(r"^\| `([\w.]+)` \|", reference(), re.M)
    columns = {f"{table.name}.{column.name}" for table in TABLES for column in table.columns}
    sections = "|".join(Config.model_fields)
    for code in _inline_code(page):
        dotted = code.partition(":")[0]
        if re.fullmatch(rf"(?:{sections})(?:\.[\w]+)+", dotted) and not dotted.endswith((".py", ".md")):
            assert dotted in columns or any(f"{key}.".startswith(f"{dotted}.") for key in keys), code


BASE: dict[str, Any] = {
    "name": "base",
    "output": "unused",
    "entity_types": ["user", "item"],
    "relations": {"like": {"source": "user", "target": "item"}},
    "logs": {"likes": {"path": "x", "format": "csv", "select": {"relation": "r", "source": "s", "target": "t"}}},
}


@each_written_page
def test_configs_are_valid(page: Path) -> None:
    for block in _code_blocks(page, "yaml"):
        document = yaml.safe_load(block)
        if "name" in document:
            load_config(document)
            continue
        assert set(document) <= set(Config.model_fields), block
        try:
            Config.model_validate({**BASE, **document})
        except ValidationError as error:
            pytest.fail(f"{block}\n{error}")


@each_written_page
def test_python_is_valid_and_imports_what_exists(page: Path) -> None:
    for block in _code_blocks(page, "python"):
        for node in ast.walk(ast.parse(block)):
            if isinstance(node, ast.ImportFrom) and str(node.module).startswith("twhin_spark"):
                module = importlib.import_module(str(node.module))
                assert all(hasattr(module, alias.name) for alias in node.names), block
            if isinstance(node, ast.Attribute) and ast.unparse(node.value) in {"ts", "twhin_spark"}:
                assert node.attr in twhin_spark.__all__, block


def test_routes_of_the_service_exist() -> None:
    source = "".join(path.read_text() for path in (ROOT / "twhin_spark/serving/web").glob("*_routes.py"))
    declared = [re.sub(r"\{\w+(?::\w+)?\}", "[^/]+", path) for path in re.findall(r'@routes\.\w+\("([^"]+)"', source)]
    named = set(re.findall(r"localhost:8080/v1(/[\w/]+)", (ROOT / "docs/serving.md").read_text()))
    assert len(named) > 5
    assert [route for route in named if not any(re.fullmatch(path, route) for path in declared)] == []


def test_api_page_has_every_public_name() -> None:
    documented = re.findall(r"^::: twhin_spark\.(\w+)$", (ROOT / "docs/api.md").read_text(), re.M)
    assert sorted(documented) == sorted(set(twhin_spark.__all__) - {"__version__"})


@pytest.mark.parametrize("name", sorted(set(twhin_spark.__all__) - {"__version__"}))
def test_every_public_parameter_has_an_entry_of_its_own(name: str) -> None:
    """The API page would show the type of the first parameter for all of an entry's."""
    text = inspect.getdoc(getattr(twhin_spark, name)) or ""
    assert text
    assert not re.search(r"^\w+(?:, \w+)+\n {4}", text, re.M)


def test_contributing_names_what_the_code_defines() -> None:
    sources = [path for folder in ("twhin_spark", "tests") for path in (ROOT / folder).glob("**/*.py")]
    defined = "\n".join(path.read_text() for path in sources)
    for code in _inline_code(ROOT / "CONTRIBUTING.md"):
        if re.fullmatch(r"[A-Z_]\w*(?:\.\w+)?", code):
            for name in code.split("."):
                assert re.search(rf"^\s*(?:class |def )?{name}\b", defined, re.M), code


def test_every_command_is_on_a_page() -> None:
    text = "".join(page.read_text() for page in WRITTEN)
    assert isinstance(cli, click.Group)
    for name in cli.commands:
        assert re.search(rf"twhin-spark {name}\b", text), name


def test_workflows_and_hooks_call_what_exists() -> None:
    hooks = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text())["repos"]
    assert [repository["repo"] for repository in hooks] == ["local"]
    workflows = [yaml.safe_load(path.read_text()) for path in (ROOT / ".github/workflows").glob("*.yml")]
    steps = [step for workflow in workflows for job in workflow["jobs"].values() for step in job["steps"]]
    runs = {step["run"] for step in steps if "run" in step}
    assert {".ci/run", "make package"} <= runs
