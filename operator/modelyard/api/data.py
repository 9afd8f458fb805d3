"""Data sets of a training: where a file is, how it is written, and what its fields mean."""

from enum import StrEnum
from typing import Annotated

from pydantic import Field

from modelyard.api.meta import Digest, DnsLabel, Model


class DataFormat(StrEnum):
    """How a data file is written."""

    NPZ = "Npz"
    CSV = "Csv"


class DataSchema(Model):
    """Which arrays or columns of a data file mean what."""

    features: Annotated[
        tuple[Annotated[str, Field(min_length=1, max_length=128)], ...],
        Field(min_length=1, max_length=1000),
    ]
    """Names of the input array (Npz: exactly one) or the input columns (Csv)."""

    label: Annotated[str, Field(min_length=1, max_length=128)]
    """Name of the array or column that holds the class number, counted from 0."""


class DataSource(Model):
    """One named data set."""

    name: DnsLabel
    """Name by which other fields refer to this data set; `train` is what is trained on."""

    uri: Annotated[
        str, Field(pattern=r"^s3://[a-z0-9][-.a-z0-9]{1,61}[a-z0-9]/[^\s]+$", max_length=1024)
    ]
    """Location `s3://bucket/key` in the training's store."""

    format: DataFormat
    """How the file is written."""

    digest: Digest | None = None
    """Expected SHA-256 of the file; a different file ends the training with DataError."""

    data_schema: Annotated[DataSchema, Field(alias="schema")]
    """Which arrays or columns mean what."""
