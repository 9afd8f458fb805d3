"""What `get` draws: pure functions from objects to something that rich prints."""

from datetime import datetime

from rich.console import RenderableType

from modelyard.api.rules import DEPLOYMENT, TRAINING
from modelyard_cli.mirror import Mirror
from modelyard_cli.views.deployment import deployment_view
from modelyard_cli.views.training import training_view
from modelyard_cli.views.version import version_view

__all__ = ["view"]


def view(mirror: Mirror, now: datetime) -> RenderableType:
    """Return the picture of an object with its children."""
    if mirror.kind is DEPLOYMENT:
        return deployment_view(mirror, now)
    if mirror.kind is TRAINING:
        return training_view(mirror, now)
    return version_view(mirror.subject.raw, now)
