"""`uninstall --check`: what removing Modelyard would stop, keep and lose; it changes nothing."""

import asyncio
from collections import Counter

from rich.text import Text

from modelyard.api.names import GROUP
from modelyard.api.rules import KINDS, Kind
from modelyard_cli import kinds, screen
from modelyard_cli.connection import Api, Raw, Refusal
from modelyard_cli.doctor import CRDS
from modelyard_cli.exits import Exit, Stop
from modelyard_cli.words import BAD, GOOD, STYLES

KEEP = "helm.sh/resource-policy"
STEPS = (
    "kubectl delete mdep --all -A      # stops serving",
    "kubectl delete mtrain --all -A    # the operator deletes checkpoints from the store",
    "kubectl delete mver --all -A      # the operator deletes artifacts from the store",
    "helm uninstall modelyard",
    "kubectl delete crd modeltrainings.modelyard.dev modelversions.modelyard.dev"
    " modeldeployments.modelyard.dev",
)


async def check(api: Api) -> Exit:
    """Print what is there; end with 7 while finalizers need the operator.

    Raises:
        Stop: objects are left that only a running operator can let go.
    """
    found = await asyncio.gather(*(_objects(api, kind) for kind in KINDS))
    held = 0
    for kind, objects in zip(KINDS, found, strict=True):
        if objects is None:
            _tell(GOOD, f"{kind.plural}: the kind is not installed")
            continue
        guarded = [raw for raw in objects if raw["metadata"].get("finalizers")]
        held += len(guarded)
        _tell(BAD if objects else GOOD, _summary(kind, objects, guarded))
    for name in await _kept(api):
        _tell(GOOD, f"{name} stays after `helm uninstall`, with its objects")
    if not held and not any(found):
        return Exit.REACHED
    for number, step in enumerate(STEPS, start=1):
        screen.tell(Text(f"  {number}. {step}", "cyan"))
    if held:
        text = f"{held} objects have finalizers that only the operator removes"
        raise Stop(Exit.WRONG_STATE, text, "delete them while it runs, in the order above")
    raise Stop(Exit.WRONG_STATE, "objects are left", "delete them in the order above")


def _tell(mark: str, text: str) -> None:
    screen.tell(Text(f"{mark} ", STYLES[mark]).append(text, "default"))


def _summary(kind: Kind, objects: list[Raw], guarded: list[Raw]) -> str:
    if not objects:
        return f"{kind.plural}: none"
    places = Counter(raw["metadata"]["namespace"] for raw in objects)
    where = ", ".join(f"{count} in {name}" for name, count in sorted(places.items()))
    held = f"; {len(guarded)} with a finalizer" if guarded else ""
    return f"{kind.plural}: {where}{held}"


async def _objects(api: Api, kind: Kind) -> list[Raw] | None:
    """Return all objects of a kind, None if the kind is not installed."""
    try:
        return list((await api.get(kinds.path_of(kind)))["items"])
    except Refusal as refusal:
        if refusal.unknown_kind:
            return None
        raise


async def _kept(api: Api) -> list[str]:
    """Return the CRDs that Helm leaves."""
    try:
        crds = (await api.get(CRDS))["items"]
    except Refusal as refusal:
        if refusal.forbidden:
            return []
        raise
    own = [crd["metadata"] for crd in crds if crd["spec"]["group"] == GROUP]
    return [m["name"] for m in own if (m.get("annotations") or {}).get(KEEP) == "keep"]
