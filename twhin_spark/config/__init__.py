"""The validated config: one YAML file describes a data set and a model."""

from twhin_spark.config.load import load_config
from twhin_spark.config.sections import Config

__all__ = ["Config", "load_config"]
