"""Where things lie in the directory that fetcher, sentinel, and model server share."""

from dataclasses import dataclass
from pathlib import Path

from pydantic import ValidationError

from modelyard.api.serve import (
    CONFIG_FOLDER,
    MONITORING_FILE,
    SENTINEL_FILE,
    FetchReceipt,
    ServeConfig,
)


@dataclass(frozen=True, slots=True)
class Folders:
    """The paths of one version below the models directory.

    >>> Folders(Path("/models"), "digits", 3).artifact.as_posix()
    '/models/digits/3'
    """

    models: Path
    model_name: str
    version: int

    @classmethod
    def of(cls, models: Path, config: ServeConfig) -> "Folders":
        """Return the paths of the version that `config` names."""
        return cls(models, config.model_name, config.version)

    @property
    def artifact(self) -> Path:
        """The version's directory, as the model server expects it."""
        return self.models / self.model_name / str(self.version)

    @property
    def config(self) -> Path:
        """Directory of the two small files below."""
        return self.models / CONFIG_FOLDER

    @property
    def monitoring(self) -> Path:
        """The model server's `--monitoring_config_file`."""
        return self.config / MONITORING_FILE

    @property
    def receipt(self) -> Path:
        """What the fetcher left for the sentinel."""
        return self.config / SENTINEL_FILE


def read_receipt(path: Path) -> FetchReceipt | None:
    """Return what lies on disk according to the fetcher, or None if it never finished."""
    try:
        return FetchReceipt.model_validate_json(path.read_bytes())
    except (FileNotFoundError, ValidationError):
        return None
