"""Build container images from `images/NAME/Containerfile`, each once for the same inputs.

The result is an OCI archive in the cache. Its file name holds a hash of the Containerfile, of every
file that it copies, and of the base image, so unchanged inputs are found and not built again.
"""

import json
import tarfile
import tempfile
import time
from collections.abc import Iterator
from ipaddress import ip_address
from pathlib import Path
from urllib.parse import urlsplit

from localcluster import prerequisites, toolbox
from localcluster.binaries import Progress
from localcluster.commands import run, run_slowly
from localcluster.containerfile import copied_sources
from localcluster.errors import Refused
from localcluster.fingerprint import fingerprint
from localcluster.folders import REPOSITORY, cache_root, locked
from localcluster.prepared import PREPARED

SOURCES = REPOSITORY / "images"
REGISTRY = "localhost/modelyard"
BASE = f"{REGISTRY}/base:trixie"
TAG = "dev"
KEEP_ARCHIVES = 3


def known() -> list[str]:
    """Return the images that have a Containerfile; `base` first, since others need it."""
    found = sorted(file.parent.name for file in SOURCES.glob("*/Containerfile"))
    return sorted(found, key=lambda name: name != "base")


def select(names: list[str]) -> list[str]:
    """Return the images meant by names on a command line; `all` means every one.

    Raises:
        Refused: a name has no Containerfile.
    """
    if names == ["all"]:
        return known()
    if unknown := set(names) - set(known()):
        raise Refused(f"no image {', '.join(sorted(unknown))}", f"choose of {', '.join(known())}")
    return names


def reference(name: str) -> str:
    """Return the name that pods use, such as `localhost/modelyard/operator:dev`."""
    return BASE if name == "base" else f"{REGISTRY}/{name}:{TAG}"


def image_key(name: str) -> str:
    """Return the hash of everything an image is made from."""
    text = (SOURCES / name / "Containerfile").read_text()
    settings = [name, *PREPARED[name][1]] if name in PREPARED else [name, image_key("base")]
    return fingerprint(_inputs(name, text), settings, base=REPOSITORY)


def archive(name: str) -> Path:
    """Return where an image's archive is, or will be."""
    return cache_root() / "images" / f"{name}-{image_key(name)}.tar"


def build(name: str, progress: Progress = print) -> Path:
    """Build an image unless its inputs are unchanged; return its OCI archive.

    Raises:
        Refused: a program is missing or a step of the Containerfile failed.
    """
    target = archive(name)
    if target.exists():
        return target
    prerequisites.install(prerequisites.IMAGE_PROGRAMS, progress)
    if name not in PREPARED:
        build("base", progress)
    with locked(f"image-{name}"):
        target.parent.mkdir(parents=True, exist_ok=True)
        if not target.exists():
            _build(name, target, progress)
    return target


def push(name: str, registry: str, progress: Progress = print) -> str:
    """Push an image to `REGISTRY/NAME:dev` and return that reference."""
    found = build(name, progress)
    target = f"{registry.rstrip('/')}/{name}:{TAG}"
    _take_up(found)
    flags = ("--tls-verify=false",) if on_loopback(registry) else ()
    words = ("push", *flags, reference(name), f"docker://{target}")
    _buildah(f"pushing {name}", *words, progress=progress)
    return target


def on_loopback(registry: str) -> bool:
    """Say whether a registry is this machine's own: as with Docker, it may do without TLS."""
    host = urlsplit(f"//{registry}").hostname or ""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def archive_digest(path: Path) -> str:
    """Return the digest of the manifest in an OCI archive, such as `sha256:…`."""
    with tarfile.open(path) as file:
        index = file.extractfile("index.json")
        if index is None:
            raise Refused(f"{path} is not an OCI archive", "delete it and build again")
        return str(json.loads(index.read())["manifests"][0]["digest"])


def _inputs(name: str, containerfile: str) -> Iterator[Path]:
    """Return the files an image is made from.

    A prepared image depends on its own folder, any other on what its Containerfile copies.
    """
    if name in PREPARED:
        yield SOURCES / name
        return
    yield SOURCES / name / "Containerfile"
    for pattern in copied_sources(containerfile):
        found = list(REPOSITORY.glob(pattern.strip("/").removeprefix("./")))
        if not found:
            raise Refused(f"images/{name} copies {pattern}, which does not exist", "correct it")
        yield from found


def _build(name: str, target: Path, progress: Progress) -> None:
    progress(f"building image {name}")
    started = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="modelyard-", dir=cache_root()) as folder:
        context = REPOSITORY
        if name in PREPARED:
            context = Path(folder)
            PREPARED[name][0](context, progress)
        _bud(name, context, progress)
    half_built = target.with_suffix(".building")
    half_built.unlink(missing_ok=True)
    destination = f"oci-archive:{half_built}:{reference(name)}"
    # The fastest compression: an archive only travels to a folder of the same machine.
    fast = ("--compression-format=zstd", "--compression-level=1")
    what = f"packing {name}"
    _buildah(what, "push", "--quiet", *fast, reference(name), destination, progress=progress)
    half_built.rename(target)
    _forget_old(name)
    size = target.stat().st_size / 1e6
    progress(f"built image {name} in {time.monotonic() - started:.0f} s, {size:.0f} MB")


def _bud(name: str, context: Path, progress: Progress) -> None:
    volumes = [f"--volume={volume}" for volume in toolbox.build_volumes()]
    _buildah(
        f"building {name}",
        "bud",
        "--isolation=chroot",
        "--network=host",
        "--layers",
        "--pull-never",
        f"--build-arg=BASE={BASE}",
        f"--ignorefile={SOURCES / 'containerignore'}",
        *([] if name in PREPARED else volumes),
        f"--tag={reference(name)}",
        f"--file={SOURCES / name / 'Containerfile'}",
        str(context),
        progress=progress,
    )


def _take_up(archive: Path) -> None:
    """Give buildah the image of an archive: it may have forgotten it."""
    run("buildah", *_storage(), "pull", "--quiet", f"oci-archive:{archive}")


def _buildah(what: str, *arguments: str, progress: Progress) -> None:
    run_slowly(what, "buildah", *_storage(), *arguments, progress=progress)


def _storage() -> tuple[str, str]:
    """Return the flags that give buildah a storage of our own."""
    storage = cache_root() / "buildah"
    return f"--root={storage / 'storage'}", f"--runroot={storage / 'run'}"


def _forget_old(name: str) -> None:
    found = sorted(
        (cache_root() / "images").glob(f"{name}-????????????????.tar"),
        key=lambda path: path.stat().st_mtime,
        reverse=True,
    )
    for old in found[KEEP_ARCHIVES:]:
        old.unlink()
