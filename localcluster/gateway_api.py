"""The CRDs of the Gateway API, from its Go module: fetched once, verified by go.sum, kept."""

import json
import shutil
from pathlib import Path

from localcluster.binaries import ModuleSet, Progress, go_environment
from localcluster.commands import run
from localcluster.errors import Refused
from localcluster.fingerprint import fingerprint
from localcluster.folders import cache_root, locked

MODULES = ModuleSet("gateway", {}, ())
MODULE = "sigs.k8s.io/gateway-api"
STANDARD = Path("config/crd/standard")
POLICY = "vap_safeupgrades"
"""Part of the file name of the admission policy that guards upgrades; the others hold CRDs."""


def definitions(progress: Progress = print) -> list[Path]:
    """Return the files of the standard channel, CRDs first.

    Raises:
        Refused: Go is missing, or the module cannot be had.
    """
    files = [MODULES.folder / name for name in ("go.mod", "go.sum")]
    key = fingerprint(files, (str(STANDARD),), base=MODULES.folder)
    folder = cache_root() / "manifests" / f"gateway-api-{key}"
    with locked(folder.name):
        if not folder.exists():
            progress(f"fetching the CRDs of the Gateway API {MODULES.version(MODULE)}, once")
            _fetch(folder)
    found = sorted(folder.glob("*.yaml"), key=lambda file: (POLICY in file.name, file.name))
    if not found:
        raise Refused(f"{folder} is empty", "delete it and try again")
    return found


def _fetch(folder: Path) -> None:
    """Copy the files out of the module; go checks its sum."""
    said = run("go", "mod", "download", "-json", MODULE, cwd=MODULES.folder, env=go_environment())
    half = folder.with_suffix(".fetching")
    shutil.rmtree(half, ignore_errors=True)
    half.mkdir(parents=True)
    for file in (Path(json.loads(said)["Dir"]) / STANDARD).glob("*.yaml"):
        shutil.copyfile(file, half / file.name)
    half.rename(folder)
