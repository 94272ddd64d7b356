"""Every error is one line with the dotted path, what was found and what is allowed."""

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
        ("training.dimm=3", "training.dimm: unknown key (did you mean 'dim'?); allowed: dim, epochs"),
        ("relations.like.operater=x", "relations.like.operater: unknown key (did you mean 'operator'?)"),
        ("relations.follow.source=usr", "found 'usr'; allowed: a declared entity type, one of user, tweet"),
        ("training.dim=abc", "training.dim: found 'abc'; allowed: a valid integer"),
        ("training.dim=0", "training.dim: found 0; allowed: greater than or equal to 1"),
        ("training.learning_rate=.nan", "training.learning_rate: found nan; allowed: "),
        ("training.loss=hinge", "training.loss: found 'hinge'; allowed: 'logistic', 'softmax' or"),
        ("training.loss=cosine_contrastive", "training.loss: found cosine_contrastive with comparator: dot; allowed"),
        ("training={comparator: cosine, max_norm: 1}", "training.max_norm: found 1 with comparator: cosine;"),
        ("training.adversarial_temperature=1", "training.adversarial_temperature: found 1 with loss: softmax; allowed"),
        ("training.margin=1", "training.margin: found 1; allowed: less than 1"),
        ("training.groups=64", "training.groups: found 64; allowed: at most graph.partitions, 32"),
        ("training={loss: logistic, logq: true}", "training.logq: found true with loss: logistic; allowed: with loss"),
        ("training={in_batch_weight: 0, uniform_weight: 0}", "training.uniform_negatives: found 512 of weight 0, with"),
        ("training={batch_size: 1, uniform_negatives: 0}", "training.uniform_negatives: found 0 of weight 1, with"),
        ("training={keep: best, validation: {edges: 0}}", "training.validation.edges: found 0 with training.keep"),
        ("training={epochs: 2, schedule: {warmup_epochs: 3}}", "training.schedule.warmup_epochs: found 3; allowed: at"),
        ("logs.a.select={relation: r, source: s}", "logs.a.select.target: found nothing; this key is required"),
        ("relations.like=3", "relations.like: found 3; allowed: a section with the keys source, target"),
        ("relations={}", "relations: found {}; allowed: "),
        ("window.from=yesterday", "window.from: found 'yesterday'; allowed: a valid datetime"),
        ("window={from: 2026-02-01, until: 2026-01-01}", "window.until: found 2026-01-01T00:00:00; allowed: after"),
        ("split={test: 0.6, validation: 0.5}", "split.test: found 0.6 with validation 0.5; allowed: below 1 together"),
        ("split.by=source", "logs.a.select.split: found nothing with split.by: source"),
        ("logs.a.select={relation: r, source: s, target: t}", "logs.a.select.timestamp: found nothing; required"),
        ("relations.like.repeats=cap", "relations.like.cap: found nothing with repeats: cap"),
        ("relations.like.undone_by=unfollow", "relations.like.undone_by: found 'unfollow', which undoes 'follow'"),
        ("relations.like.undone_by=follow", "relations.like.undone_by: found 'follow', which is a relation itself"),
        ("graph.min_degree={usr: 2}", "graph.min_degree.usr: unknown entity type; allowed: one of user, tweet"),
        ("publishing.gates=[{relation: like, metric: mrr}]", "publishing.gates.0: found none of at_least and beats"),
        ("name=my model", "name: found 'my model'; allowed: match pattern"),
        ("training", "--set: found 'training'; allowed: a.b=value"),
        ("name.x=1", "--set name.x: 'name' is 'small'; allowed: a section with keys"),
        ("training.dim=[", "--set training.dim: found '['; allowed: a value in YAML"),
    ],
)
def test_an_error_is_one_line_with_path_found_and_allowed(config_file: Path, override: str, line: str) -> None:
    with pytest.raises(ConfigError) as error:
        load_config(config_file, [override])
    assert line in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("a: 1\na: 2\n", "bad.yaml:2: not valid YAML: key 'a' is given twice"),
        ("a: [1\n", "bad.yaml:2: not valid YAML"),
        ("- a\n", "bad.yaml: found ['a']; allowed: a mapping with the keys name, output"),
        ("", "bad.yaml: found nothing; allowed: a mapping"),
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
    with pytest.raises(ConfigError, match=r"split\.validation: found 0 with training\.early_stopping; allowed"):
        load_config(config_file, ["split.validation=0", "training.early_stopping.patience=2"])


def test_several_errors_are_a_line_each(config_file: Path) -> None:
    with pytest.raises(ConfigError) as error:
        load_config(config_file, ["training.dim=0", "training.epochs=0"])
    assert len(str(error.value).splitlines()) == 2


def test_the_reference_page_is_up_to_date_and_names_every_option() -> None:
    page = Path(__file__).parents[2] / "docs" / "config.md"
    assert page.read_text() == reference() + "\n", "run `make docs`"
    assert all(f"`{name}`" in reference() for name in Config.model_fields)
