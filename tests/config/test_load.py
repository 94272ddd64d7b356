"""Errors are one line with the dotted path, what is wrong and what is required."""

from __future__ import annotations

from pathlib import Path

import pytest

from twhin_spark.config import Config, load_config
from twhin_spark.config.reference import reference
from twhin_spark.errors import ConfigError

SMALL = """
name: small
output: OUT
entity_types: [user, tweet]
relations:
  follow: {source: user, target: user, undone_by: unfollow}
  like: {source: user, target: tweet}
logs:
  a:
    path: a.csv
    format: csv
    select: {relation: kind, source: s, target: t, timestamp: at}
"""


@pytest.fixture
def config_file(tmp_path: Path) -> Path:
    path = tmp_path / "small.yaml"
    path.write_text(SMALL)
    return path


def test_a_small_config_has_defaults_and_takes_overrides(config_file: Path) -> None:
    config = load_config(config_file, ["training.dim=8", "window.from=2026-01-01", "logs.a.path=[x, y]"])
    assert config.training.dim == 8
    assert config.training.loss == "softmax"
    assert config.logs["a"].path == ["x", "y"]
    assert config.window.from_ is not None
    assert config.window.from_.isoformat() == "2026-01-01T00:00:00+00:00"


@pytest.mark.parametrize(
    ("override", "line"),
    [
        ("training.dimm=3", "training.dimm is no key (did you mean 'dim'?); the keys are dim, epochs"),
        (
            "relations.like.operater=x",
            "relations.like.operater is no key (did you mean 'operator'?); the keys are source",
        ),
        (
            "relations.follow.source=usr",
            "relations.follow.source is 'usr', but must be one of entity_types: user, tweet",
        ),
        ("window.from=20260501", "window.from is 20260501, but must be a time such as 2026-05-01 or 2026-05-01T12"),
        ("training.dim=abc", "training.dim is 'abc', but must be an integer"),
        ("training.dim=0", "training.dim is 0, but must be greater than or equal to 1"),
        ("training.learning_rate=.nan", "training.learning_rate is nan, but must be a finite number"),
        ("training.loss=hinge", "training.loss is 'hinge', but must be 'logistic', 'softmax' or"),
        ("training.loss=cosine_contrastive", "so comparator must be 'cosine', not 'dot'"),
        (
            "training={comparator: cosine, max_norm: 1}",
            "training.max_norm is set, so training.comparator must be 'dot', not 'cosine'",
        ),
        ("training.adversarial_temperature=1", "is set, so training.loss must be 'logistic', not 'softmax'"),
        ("training.margin=1", "training.margin is 1, but must be less than 1"),
        ("training.groups=64", "training.groups is 64, but must be at most graph.partitions, 32"),
        ("training={loss: logistic, logq: true}", "training.logq is true, so training.loss must be 'softmax', not"),
        ("training={in_batch_weight: 0, uniform_weight: 0}", "no negatives: uniform_negatives is 512 of weight 0, and"),
        (
            "training={batch_size: 1, uniform_negatives: 0}",
            "training has no negatives: uniform_negatives is 0 of weight 1,",
        ),
        ("training={keep: best, validation: {edges: 0}}", "'best', so training.validation.edges must be 1 or more"),
        (
            "training={epochs: 2, schedule: {warmup_epochs: 3}}",
            "training.schedule.warmup_epochs is 3, but must be at most",
        ),
        ("logs.a.select={relation: r, source: s}", "logs.a.select.target is required: Id of the target"),
        ("relations.like=3", "relations.like is 3, but must be a section with the keys source, target"),
        ("relations={}", "relations is {}, but must have at least 1 item"),
        ("window.from=yesterday", "window.from is 'yesterday', but must be a valid datetime"),
        ("window={from: 2026-02-01, until: 2026-01-01}", "window.until is 2026-01-01T00:00:00, but must be after"),
        (
            "split={test: 0.6, validation: 0.5}",
            "split.test is 0.6 and split.validation 0.5; together they must be below 1",
        ),
        ("split.by=source", "split.by is 'source', so logs.a.select.split is required"),
        (
            "logs.a.select={relation: r, source: s, target: t}",
            "split.by is 'time', so logs.a.select.timestamp is required",
        ),
        ("relations.like.repeats=cap", "relations.like.repeats is 'cap', so relations.like.cap is required"),
        ("relations.like.undone_by=unfollow", "relations.like.undone_by is 'unfollow', like that of relations.follow"),
        ("relations.like.undone_by=follow", "relations.like.undone_by is 'follow', a relation itself;"),
        (
            "graph.min_degree={usr: 2}",
            "graph.min_degree.usr names no entity type; it must be one of entity_types: user, tweet",
        ),
        (
            "publishing.gates=[{relation: like, metric: mrr}]",
            "publishing.gates.0 has no bound; set publishing.gates.0.at_least",
        ),
        ("name=my model", "name is 'my model', but must match pattern"),
        ("training", "--set is 'training', but must be a.b=value"),
        ("name.x=1", "--set name.x: 'name' is 'small', but must be a section with keys"),
        ("training.dim=[", "--set training.dim: '[' is not valid YAML; quote the value"),
    ],
)
def test_an_error_is_one_line_with_path_value_and_rule(config_file: Path, override: str, line: str) -> None:
    with pytest.raises(ConfigError) as error:
        load_config(config_file, [override])
    assert line in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("a: 1\na: 2\n", "bad.yaml:2: not valid YAML: key 'a' is given twice"),
        ("a: [1\n", "bad.yaml:2: not valid YAML"),
        ("- a\n", "bad.yaml holds ['a'], but must be a mapping with the keys name, output"),
        ("", "bad.yaml holds nothing, but must be a mapping"),
    ],
)
def test_a_file_that_is_no_mapping_is_one_line(tmp_path: Path, text: str, line: str) -> None:
    (tmp_path / "bad.yaml").write_text(text)
    with pytest.raises(ConfigError) as error:
        load_config(tmp_path / "bad.yaml")
    assert line in str(error.value)
    assert "\n" not in str(error.value)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"none\.yaml: cannot read the config: No such file"):
        load_config(tmp_path / "none.yaml")


def test_early_stopping_needs_a_validation_split(config_file: Path) -> None:
    with pytest.raises(ConfigError, match=r"training\.early_stopping is set, so split\.validation must be above 0"):
        load_config(config_file, ["split.validation=0", "training.early_stopping.patience=2"])


def test_set_takes_every_path_that_an_error_prints(config_file: Path) -> None:
    gates = "publishing.gates=[{relation: like, metric: mrr}, {relation: like, metric: mrr, at_least: 0.1}]"
    config = load_config(config_file, [gates, "publishing.gates.0.beats=popularity", "publishing.gates.1.at_least=0.2"])
    assert [(gate.beats, gate.at_least) for gate in config.publishing.gates] == [("popularity", None), (None, 0.2)]
    assert load_config(config_file, ["logs.a.path.0=b.csv"]).logs["a"].path == ["b.csv"]
    for override, line in {
        "publishing.gates.2.beats=als": "--set publishing.gates.2.beats: 'publishing.gates' is a list of 2; use",
        "publishing.gates.x=1": "--set publishing.gates.x: 'publishing.gates' is a list of 2; use a number below that",
    }.items():
        with pytest.raises(ConfigError, match=f"^{line}"):
            load_config(config_file, [gates, override])


def test_several_errors_are_a_line_each(config_file: Path) -> None:
    with pytest.raises(ConfigError) as error:
        load_config(config_file, ["training.dim=0", "training.epochs=0"])
    assert len(str(error.value).splitlines()) == 2


def test_the_reference_page_is_up_to_date_and_names_every_option() -> None:
    page = Path(__file__).parents[2] / "docs" / "config.md"
    assert page.read_text() == reference() + "\n", "run `make docs`"
    assert all(f"`{name}`" in reference() for name in Config.model_fields)


def test_options_keep_what_is_written(config_file: Path) -> None:
    written = "{nullValue: NO, header: yes, sep: 010, quote: , x: 1e3, at: 2026-01-01}"
    config_file.write_text(SMALL.replace("format: csv\n", f"format: csv\n    options: {written}\n"))
    expected = {"nullValue": "NO", "header": True, "sep": "010", "quote": "", "x": "1e3", "at": "2026-01-01"}
    assert load_config(config_file).logs["a"].options == expected
    assert load_config(config_file, ["logs.a.options.sep=off", "logs.a.options.header=no"]).logs["a"].options == {
        **expected,
        "sep": "off",
        "header": False,
    }
    assert load_config(config_file, [f"logs.a.options={written}"]).logs["a"].options == expected


@pytest.mark.parametrize(
    ("old", "new", "line"),
    [
        (
            "[user, tweet]",
            "[no, tweet]",
            "entity_types.0 is False, .* reads an unquoted no as false: write 'no' in quotes",
        ),
        ("name: small", "name: 007", "name is 7, .* reads an unquoted 007 as the number 7: write '007' in quotes"),
        ("  like:", "  on:", "relations has the key True, .* reads an unquoted on as true: write 'on' in quotes"),
        ("  like:", "  2026-05-01:", "relations has the key 2026-05-01, but a key .*: write '2026-05-01' in quotes"),
        ("source: s", "source: 2026-01-01", ".* reads an unquoted 2026-01-01 as a time: write '2026-01-01' in quotes"),
    ],
)
def test_a_name_that_yaml_reads_as_something_else(config_file: Path, old: str, new: str, line: str) -> None:
    config_file.write_text(SMALL.replace(old, new))
    with pytest.raises(ConfigError, match=line):
        load_config(config_file)


def test_merge_keys(config_file: Path) -> None:
    merged = SMALL.replace("like: {source", "like: &plain {repeats: log, source") + (
        "  b:\n    <<: {path: b.csv, format: json}\n    path: c.json\n"
        "    select: {relation: kind, source: s, target: t, timestamp: at}\n"
    )
    merged = merged.replace("logs:", "  view: {<<: *plain, repeats: sum}\n  share: {<<: [*plain]}\nlogs:")
    config_file.write_text(merged)
    config = load_config(config_file)
    assert [config.relations[name].repeats for name in ("like", "view", "share")] == ["log", "sum", "log"]
    assert (config.logs["b"].format, config.logs["b"].path) == ("json", ["c.json"])


@pytest.mark.parametrize("text", ["? [a, b]\n: x\n", "a: &r {b: *r}\n", "a: 1\n---\nb: 1\n", "a:\n\t- 1\n"])
def test_odd_yaml_is_an_error_and_no_trace(tmp_path: Path, text: str) -> None:
    (tmp_path / "odd.yaml").write_text(text)
    with pytest.raises(ConfigError, match=r"odd\.yaml"):
        load_config(tmp_path / "odd.yaml")


def test_a_value_that_yaml_cannot_read_is_named_with_its_line(config_file: Path) -> None:
    config_file.write_text(SMALL + "graph:\n  latest: 2030-13-45\n")
    with pytest.raises(ConfigError, match=r":14: not valid YAML: '2030-13-45' is no timestamp \(month must be in 1"):
        load_config(config_file)
    config_file.write_text(SMALL.replace("small", "[" * 3000 + "]" * 3000, 1))
    with pytest.raises(ConfigError, match=r"not valid YAML: its lists and sections lie too deep in each other$"):
        load_config(config_file)


def test_home_and_variables_in_locations(config_file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/home/me")
    monkeypatch.setenv("BUCKET", "s3://logs")
    monkeypatch.delenv("NOTHING", raising=False)
    config = load_config(config_file, ["output=~/out", "logs.a.path=[$BUCKET/a, '${HOME}/*.csv', 'a~b']"])
    assert config.output == "/home/me/out"
    assert config.logs["a"].path == ["s3://logs/a", "/home/me/*.csv", "a~b"]
    for override, line in {
        "output=$NOTHING/x": r"output is '\$NOTHING/x', but must be a location without \$NOTHING, which is not set",
        "logs.a.path=~nobody-here/x": r"logs\.a\.path\.0 is '~nobody-here/x', but must be a location whose",
        "output=a%20b": r"output is 'a%20b', but must be a location without % and two hexadecimal digits",
        r"output='a\b'": r"output is 'a\\\\b', but must be a location without backslashes and control characters",
    }.items():
        with pytest.raises(ConfigError, match=line):
            load_config(config_file, [override])
