"""Reads the operator's configuration file."""

import os
from pathlib import Path

import yaml
from pydantic import ValidationError

from modelyard.api.config import OperatorConfig
from modelyard.api.errors import Broken

CONFIG_VARIABLE = "MODELYARD_CONFIG"
DEFAULT_FILE = "/etc/modelyard/config.yaml"


def load_config() -> OperatorConfig:
    """Return the configuration; an absent default file means all defaults.

    Raises:
        Broken: the file cannot be read, or a field of it is wrong.
    """
    path = Path(os.environ.get(CONFIG_VARIABLE, DEFAULT_FILE))
    if not path.exists() and CONFIG_VARIABLE not in os.environ:
        return OperatorConfig()
    try:
        return OperatorConfig.model_validate(yaml.safe_load(path.read_text()) or {})
    except (OSError, yaml.YAMLError, ValidationError) as error:
        raise Broken(f"The configuration {path} cannot be used: {error}") from error
