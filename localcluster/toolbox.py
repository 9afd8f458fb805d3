"""What image builds borrow from this machine: uv, its cache, the CA store, the package index.

A folder with a `uv` command is mounted over /usr/local/sbin during builds. The command is a small
script that carries this machine's settings to the real uv, so no setting and no credential of an
index is written into an image. A Containerfile that is built elsewhere installs uv itself:
`RUN command -v uv >/dev/null || pip install uv`.
"""

import configparser
import os
import shlex
import shutil
import sys
from collections.abc import Mapping
from pathlib import Path

from localcluster.commands import run
from localcluster.errors import Refused
from localcluster.folders import cache_root

MOUNTED = "/usr/local/sbin"
UV_CACHE = "/var/cache/uv"
CA_FOLDER = Path("/etc/ssl/certs")
CA_BUNDLE = CA_FOLDER / "ca-certificates.crt"
ELF = b"\x7fELF"
INDEX_SETTINGS = (
    "UV_DEFAULT_INDEX",
    "UV_INDEX",
    "UV_INDEX_URL",
    "UV_EXTRA_INDEX_URL",
    "UV_INSECURE_HOST",
    "UV_HTTP_TIMEOUT",
)
# What pip calls it (variable and configuration key), and what uv calls it.
PIP_SETTINGS = {
    "index-url": "UV_DEFAULT_INDEX",
    "extra-index-url": "UV_INDEX",
    "trusted-host": "UV_INSECURE_HOST",
}
PIP_FILES = ("/etc/pip.conf", "~/.config/pip/pip.conf", "~/.pip/pip.conf")


def build_volumes() -> list[str]:
    """Return `buildah --volume` arguments that bring the toolbox into a build."""
    cache = cache_root() / "uv"
    cache.mkdir(parents=True, exist_ok=True)
    volumes = [f"{_toolbox()}:{MOUNTED}:ro", f"{cache}:{UV_CACHE}"]
    if CA_BUNDLE.exists():
        volumes.append(f"{CA_FOLDER}:{CA_FOLDER}:ro")
    return volumes


def uv_settings(env: Mapping[str, str], pip_config: Mapping[str, str]) -> dict[str, str]:
    """Return the environment of uv in a build.

    Args:
        env: this machine's environment; uv's own settings win over pip's.
        pip_config: the `[global]` section of pip's configuration.
    """
    found = {"UV_CACHE_DIR": UV_CACHE, "UV_LINK_MODE": "copy", "UV_PYTHON_DOWNLOADS": "never"}
    for key, target in PIP_SETTINGS.items():
        variable = f"PIP_{key.upper().replace('-', '_')}"
        if value := env.get(variable) or pip_config.get(key):
            found[target] = value
    found |= {key: env[key] for key in INDEX_SETTINGS if env.get(key)}
    return found


def wrapper(settings: Mapping[str, str]) -> str:
    """Return the script that runs uv with these settings."""
    exports = [f"export {key}={shlex.quote(value)}" for key, value in sorted(settings.items())]
    return "\n".join(["#!/bin/sh", *exports, f'exec {MOUNTED}/uv-program "$@"', ""])


def find_uv() -> Path:
    """Return the uv program itself, not a shim of a version manager.

    That of this Python's environment is found without a PATH that leads there.

    Raises:
        Refused: there is none.
    """
    own = str(Path(sys.executable).parent)
    for folder in (own, *os.environ.get("PATH", "").split(os.pathsep)):
        if _is_program(candidate := Path(folder, "uv")):
            return candidate
    if not shutil.which("uv"):
        raise Refused("uv is not on the PATH", "run `pip install uv`")
    return Path(run("uv", "run", "--no-project", "printenv", "UV", cwd=Path("/")).strip())


def _toolbox() -> Path:
    folder = cache_root() / "toolbox"
    folder.mkdir(parents=True, exist_ok=True)
    found = find_uv()
    copy = folder / "uv-program"
    if not copy.exists() or copy.stat().st_mtime < found.stat().st_mtime:
        shutil.copy2(found, copy)
    script = folder / "uv"
    settings = uv_settings(os.environ, _pip_config())
    if CA_BUNDLE.exists():
        settings["SSL_CERT_FILE"] = str(CA_BUNDLE)
    script.write_text(wrapper(settings))
    script.chmod(0o755)
    return folder


def _pip_config() -> dict[str, str]:
    parser = configparser.ConfigParser(interpolation=None)
    parser.read([Path(file).expanduser() for file in PIP_FILES])
    return dict(parser["global"]) if parser.has_section("global") else {}


def _is_program(path: Path) -> bool:
    if not path.is_file():
        return False
    with path.open("rb") as file:
        return file.read(4) == ELF
