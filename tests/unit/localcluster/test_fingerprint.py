"""Content hashes: they change with every input and with nothing else."""

import os
import re
from pathlib import Path

import pytest

from localcluster import images, settings
from localcluster.binaries import kubernetes, registry, runtime
from localcluster.containerfile import copied_sources
from localcluster.fingerprint import fingerprint
from localcluster.layout import Layout, Programs
from localcluster.naming import Addresses, Names


def _tree(root: Path) -> Path:
    (root / "sub").mkdir(parents=True)
    (root / "a").write_text("one")
    (root / "sub" / "b").write_text("two")
    return root


def test_the_same_content_elsewhere_and_later_has_the_same_hash(tmp_path: Path) -> None:
    one, two = _tree(tmp_path / "one"), _tree(tmp_path / "two")
    os.utime(two / "a", (1, 1))
    assert fingerprint([one], base=one) == fingerprint([two], base=two)


@pytest.mark.parametrize("change", ["content", "name", "mode", "more"])
def test_every_change_changes_the_hash(tmp_path: Path, change: str) -> None:
    root = _tree(tmp_path / "tree")
    before = fingerprint([root], base=root)
    match change:
        case "content":
            (root / "sub" / "b").write_text("three")
        case "name":
            (root / "a").rename(root / "c")
        case "mode":
            (root / "a").chmod(0o755)
        case "more":
            (root / "sub" / "c").write_text("")
    assert fingerprint([root], base=root) != before


def test_settings_count_and_do_not_run_together(tmp_path: Path) -> None:
    assert fingerprint([], ["ab", "c"], base=tmp_path) != fingerprint(
        [], ["a", "bc"], base=tmp_path
    )


def test_caches_of_python_do_not_count(tmp_path: Path) -> None:
    root = _tree(tmp_path / "tree")
    before = fingerprint([root], base=root)
    (root / "__pycache__").mkdir()
    (root / "__pycache__" / "a.cpython-313.pyc").write_bytes(b"x")
    assert fingerprint([root], base=root) == before


@pytest.mark.parametrize(
    ("line", "sources"),
    [
        ("COPY a b /to/", ["a", "b"]),
        ("copy --chown=1:1 --chmod=755 a /to", ["a"]),
        ('COPY ["with space", "/to"]', ["with space"]),
        ("COPY --from=build /x /y", []),
        ("ADD https://example.org/file /y", []),
        ("ADD archive.tar /", ["archive.tar"]),
        ("COPY a \\\n     b \\\n     /to/", ["a", "b"]),
        ("# COPY a /to", []),
        ("RUN --mount=type=bind,source=uv.lock,target=uv.lock uv sync", ["uv.lock"]),
        ("RUN --mount=type=bind,from=build,source=/w,target=/w true", []),
        ("RUN --mount=type=cache,target=/root/.cache true", []),
        ("FROM scratch\nUSER 1", []),
    ],
)
def test_what_a_containerfile_copies(line: str, sources: list[str]) -> None:
    assert copied_sources(line) == sources


def _image_sources(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, text in {"base": "FROM scratch", "app": "COPY code /code"}.items():
        (root / "images" / name).mkdir(parents=True)
        (root / "images" / name / "Containerfile").write_text(text)
    (root / "code").mkdir()
    (root / "code" / "main.py").write_text("1")
    (root / "other.py").write_text("1")
    monkeypatch.setattr(images, "REPOSITORY", root)
    monkeypatch.setattr(images, "SOURCES", root / "images")


def test_an_image_is_built_again_when_something_it_copies_changed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _image_sources(tmp_path, monkeypatch)
    before = images.image_key("app")
    (tmp_path / "other.py").write_text("2")
    assert images.image_key("app") == before
    (tmp_path / "code" / "main.py").write_text("2")
    assert images.image_key("app") != before


def test_an_image_is_built_again_when_its_base_changed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _image_sources(tmp_path, monkeypatch)
    before = images.image_key("app")
    (tmp_path / "images" / "base" / "Containerfile").write_text("FROM scratch\nUSER 1")
    assert images.image_key("app") != before


def test_the_version_of_kubernetes_is_linked_in() -> None:
    modules = kubernetes()
    version = modules.version("k8s.io/kubernetes")
    assert f"gitVersion={version}" in modules.flags[-1]
    assert f"gitMinor={version.split('.')[1]}" in modules.flags[-1]


def test_every_program_is_pinned_by_its_module_set() -> None:
    for modules in (kubernetes(), runtime(), registry()):
        tools = modules.folder / "tools.go"
        pinned = tools.read_text() if tools.exists() else ""
        for package in modules.packages.values():
            own = package.startswith("./") and (modules.folder / package / "main.go").exists()
            assert own or f'"{package}"' in pinned


def test_dns_has_the_plugins_that_its_configuration_names() -> None:
    source = (runtime().folder / "coredns" / "main.go").read_text()
    layout = Layout(Path("/s"), Names("a"), Addresses(0), Programs(Path("/k"), Path("/r")))
    text = settings.corefile(layout)
    named = set(re.findall(r"^  (\w+)", text, re.MULTILINE))
    assert named == set(re.findall(r"coredns/plugin/(\w+)", source))


@pytest.mark.parametrize(
    ("registry_name", "own"),
    [
        ("localhost:5001/modelyard", True),
        ("localhost/modelyard", True),
        ("127.0.0.1:5000", True),
        ("[::1]:5000/a", True),
        ("localhost.example/a", False),
        ("registry.example:5000/modelyard", False),
        ("127.example/a", False),
    ],
)
def test_only_a_registry_of_this_machine_may_do_without_tls(registry_name: str, own: bool) -> None:
    assert images.on_loopback(registry_name) is own
