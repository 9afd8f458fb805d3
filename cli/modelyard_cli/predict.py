"""`predict`: one request to a deployment, through the API server to its Service."""

import json
import sys
from pathlib import Path

from modelyard.api import names
from modelyard.api.deployment import ModelDeployment, ServedVersion
from modelyard.api.rules import DEPLOYMENT
from modelyard_cli import kinds, screen
from modelyard_cli.connection import Api, Refusal
from modelyard_cli.exits import Exit, Stop
from modelyard_cli.objects import deployment_of

BAD_REQUEST, UNAVAILABLE = 400, 503


async def predict(api: Api, name: str, body: object, version: str) -> Exit:
    """Send a request in TF-Serving's REST form, and print the answer.

    Args:
        api: the API server.
        name: the deployment.
        body: `{"instances": …}`, `{"inputs": …}`, or a bare list of instances.
        version: stable, canary, or empty for whatever the public Service chooses.
    """
    found = deployment_of((await kinds.fetch(api, DEPLOYMENT, name)).raw)
    served = _served(found, version)
    service = names.serving_name(name, served.revision) if version else name
    place = kinds.place(kinds.SERVICES, api.namespace, f"{service}:{names.PORT_REST}", "proxy")
    asked = body if isinstance(body, dict) else {"instances": body}
    try:
        answer = await api.ask(f"{place}/v1/models/{served.model_name}:predict", asked)
    except Refusal as refusal:
        raise _explained(refusal, name) from None
    print(answer.decode(errors="replace").rstrip())
    screen.note(f"answered by {served.model_version_name if version else service}")
    return Exit.REACHED


def _served(found: ModelDeployment, version: str) -> ServedVersion:
    """Return the version that is asked; of the public Service it only tells the model's name.

    Raises:
        Stop: there is no such version.
    """
    status = found.status
    chosen = status.canary if version == "canary" else status.stable or status.canary
    if chosen is None:
        text = f"{found.metadata.name} has no {version or 'version with pods'}"
        raise Stop(
            Exit.WRONG_STATE, text, f"kubectl modelyard why deployment/{found.metadata.name}"
        )
    return chosen


def _explained(refusal: Refusal, name: str) -> Exception:
    """Return what an unsuccessful answer means: of the API server, or of the model's server."""
    if refusal.status == UNAVAILABLE:
        why = f"kubectl modelyard why deployment/{name}"
        return Stop(Exit.WRONG_STATE, f"no pod of {name} answers: {refusal}", why)
    if refusal.reason or refusal.forbidden:
        return refusal
    if refusal.status == BAD_REQUEST:
        text = f"the server refuses the input: {refusal}"
        return Stop(Exit.USAGE, text, "its signature: kubectl modelyard get version/NAME")
    return Stop(Exit.API_ERROR, f"the server answered {refusal.status}: {refusal}")


def body_in(path: Path | None, text: str) -> object:
    """Read the body of a request from a file, or from the command line.

    Raises:
        Stop: there is none, or it is no JSON.
    """
    if (path is None) == (not text):
        raise Stop(Exit.USAGE, "one input is needed", "give --filename FILE or --data JSON")
    try:
        if path is not None:
            text = sys.stdin.read() if str(path) == "-" else path.read_text()
        return json.loads(text)
    except (OSError, ValueError) as error:
        remedy = "for instance --data '{\"instances\": [[1.0, 2.0]]}'"
        raise Stop(Exit.USAGE, f"the input is no JSON: {error}", remedy) from None
