"""Certificates, kubeconfigs, DNS messages, and what image builds borrow."""

import base64
import ssl
import struct
import sys
import tempfile
from contextlib import suppress
from ipaddress import IPv4Address
from pathlib import Path

import pytest
import yaml
from cryptography import x509

from localcluster import commands, pki
from localcluster.commands import run, run_slowly
from localcluster.errors import Refused
from localcluster.folders import cache_root, cluster_folder
from localcluster.kubeconfig import write_kubeconfig
from localcluster.prepared import debian_mirror
from localcluster.readiness import answer, query
from localcluster.toolbox import find_uv, uv_settings, wrapper


def test_an_authority_signs_and_is_found_again(tmp_path: Path) -> None:
    first = pki.Authority.open(tmp_path / "pki", "test")
    again = pki.Authority.open(tmp_path / "pki", "test")
    assert first.certificate == again.certificate
    issued = x509.load_pem_x509_certificate(again.issue(pki.Identity("jane")).certificate)
    issued.verify_directly_issued_by(x509.load_pem_x509_certificate(first.certificate))


def test_a_certificate_speaks_for_user_groups_and_hosts(tmp_path: Path) -> None:
    authority = pki.Authority.open(tmp_path, "test")
    identity = pki.Identity("jane", ("ops", "dev"), ("example.test", "10.0.0.1"))
    found = x509.load_pem_x509_certificate(authority.issue(identity).certificate)
    assert found.subject.rfc4514_string() == "CN=jane,O=dev,O=ops"
    names = found.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert names.get_values_for_type(x509.DNSName) == ["example.test"]
    assert names.get_values_for_type(x509.IPAddress) == [IPv4Address("10.0.0.1")]


def test_strict_clients_accept_a_server(tmp_path: Path) -> None:
    authority = pki.Authority.open(tmp_path, "test")
    files = authority.issue(pki.Identity("server", hosts=("example.test",))).write(tmp_path, "s")
    serving = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    serving.load_cert_chain(*files)
    asking = ssl.create_default_context(cadata=authority.certificate.decode())
    asking.verify_flags |= ssl.VERIFY_X509_STRICT  # the default of Python 3.13
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    client = asking.wrap_bio(to_client, to_server, server_hostname="example.test")
    server = serving.wrap_bio(to_server, to_client, server_side=True)
    for side in (client, server, client, server):
        with suppress(ssl.SSLWantReadError):
            side.do_handshake()
    assert client.version() == "TLSv1.3"


def test_a_service_account_has_the_groups_of_its_token() -> None:
    found = pki.service_account("team", "bot")
    assert found.name == "system:serviceaccount:team:bot"
    assert found.groups == ("system:serviceaccounts", "system:serviceaccounts:team")


def test_private_files_are_private(tmp_path: Path) -> None:
    authority = pki.Authority.open(tmp_path, "test")
    user = authority.issue(pki.Identity("jane"))
    pki.token_keys(tmp_path)
    path = write_kubeconfig(tmp_path / "k", "https://h", authority.certificate, user)
    for private in (path, tmp_path / "ca.key", tmp_path / "sa.key"):
        assert private.stat().st_mode & 0o077 == 0
    content = yaml.safe_load(path.read_text())
    embedded = content["users"][0]["user"]["client-certificate-data"]
    assert base64.b64decode(embedded) == user.certificate


def test_a_dns_question_and_its_answer() -> None:
    question = query("a.bc")
    assert question[12:] == b"\x01a\x02bc\0" + struct.pack("!2H", 1, 1)
    record = b"\xc0\x0c" + struct.pack("!2HIH", 1, 1, 5, 4) + bytes([10, 0, 0, 1])
    found = struct.pack("!6H", 1, 0x8180, 1, 1, 0, 0) + question[12:] + record
    assert answer(found) == IPv4Address("10.0.0.1")
    missing = struct.pack("!6H", 1, 0x8183, 1, 0, 0, 0) + question[12:]
    assert answer(missing) is None


def test_builds_use_this_machines_index_and_uv_wins_over_pip() -> None:
    pip = {"index-url": "https://pip.test/simple", "trusted-host": "pip.test"}
    assert uv_settings({}, pip)["UV_DEFAULT_INDEX"] == "https://pip.test/simple"
    assert uv_settings({}, pip)["UV_INSECURE_HOST"] == "pip.test"
    env = {"UV_DEFAULT_INDEX": "https://uv.test/simple", "PIP_INDEX_URL": "https://env.test"}
    assert uv_settings(env, pip)["UV_DEFAULT_INDEX"] == "https://uv.test/simple"
    assert "UV_DEFAULT_INDEX" not in uv_settings({}, {})


def test_the_uv_script_quotes_what_it_exports() -> None:
    script = wrapper({"UV_DEFAULT_INDEX": "https://u:p$w@h/it's"})
    assert script.startswith("#!/bin/sh\n")
    assert run("sh", "-c", script.replace("exec", 'echo "$UV_DEFAULT_INDEX";:')).strip() == (
        "https://u:p$w@h/it's"
    )


def test_uv_is_found_beside_this_python(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    assert find_uv() == Path(sys.executable).parent / "uv"


def test_the_mirror_of_the_machine_is_used() -> None:
    sources = "Types: deb\nURIs: http://mirror.test/debian\nSuites: x\n"
    assert debian_mirror(sources) == "http://mirror.test/debian"
    assert debian_mirror("URIs: http://mirror.test/debian-security\n").endswith("debian.org/debian")


def test_folders_follow_the_environment() -> None:
    assert cache_root({"MODELYARD_CACHE": "/x"}) == Path("/x")
    assert cache_root({"XDG_CACHE_HOME": "/c", "HOME": "/h"}) == Path("/c/modelyard")
    assert cluster_folder("a", {"HOME": "/h"}) == Path("/h/.cache/modelyard/clusters/a")


def test_a_slow_program_shows_what_it_does(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(commands, "PROGRESS_SECONDS", 0.05)
    lines: list[str] = []

    def tell(line: str) -> None:
        lines.append(line)
        if len(lines) == 3:
            (Path(folder) / "go").touch()

    with tempfile.TemporaryDirectory() as folder:
        script = f"echo one; echo two >&2; until [ -e {folder}/go ]; do sleep 0.01; done; exit 3"
        with pytest.raises(Refused, match="ended with 3:\none\ntwo\n"):
            run_slowly("trying", "sh", "-c", script, progress=tell)
    assert lines[2].startswith("  trying: 0 s, ")
    assert lines[2].endswith("two")
    with pytest.raises(Refused, match="not installed"):
        run_slowly("trying", "no-such-program", progress=tell)


def test_a_failed_program_shows_what_it_said() -> None:
    with pytest.raises(Refused, match="ended with 3:\nout of luck"):
        run("sh", "-c", "echo out of luck >&2; exit 3")
    with pytest.raises(Refused, match="not installed"):
        run("no-such-program")
