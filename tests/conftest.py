"""What whole tiers need: programs and images built once, and a way to end that leaves nothing.

A build takes minutes the first time. It is no part of the test that happens to come first: it runs
outside of that test's time limit, and shows how far it is.
"""

import signal
from collections.abc import Callable, Iterator
from functools import cache
from types import FrameType

import pytest

from localcluster import envtest, images
from localcluster.binaries import Builder, kubernetes, registry, runtime
from localcluster.errors import Refused
from tests.machine import obstacle

E2E_IMAGES = ("base", "pause", "operator", "trainer", "serving", "seaweedfs", "prometheus")


def pytest_configure() -> None:
    """End on SIGTERM and SIGHUP as on Ctrl-C, so that fixtures remove what they started."""
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, _interrupt)


def _interrupt(number: int, _: FrameType | None) -> None:
    raise KeyboardInterrupt(signal.Signals(number).name)


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_protocol(item: pytest.Item) -> Iterator[None]:
    """Build what the item's tier needs before the item's clock starts."""
    for marker in BUILDS:
        if item.get_closest_marker(marker):
            build(marker)
    return (yield)


def build(tier: str) -> None:
    """Build what a tier needs, or end the run with the reason why that cannot be."""
    try:
        BUILDS[tier]()
    except Refused as refused:
        pytest.exit(str(refused), returncode=pytest.ExitCode.TESTS_FAILED)


@cache
def _build_api_server() -> None:
    envtest.programs(controller_manager=True, progress=_say)


@cache
def _build_cluster() -> None:
    if obstacle():
        return  # its tests skip, and say why
    for modules in (kubernetes(), runtime(), registry()):
        Builder(modules, _say).ensure()
    for name in E2E_IMAGES:
        images.build(name, _say)


def _say(line: str) -> None:
    print(f"\n{line}", end="", flush=True)


BUILDS: dict[str, Callable[[], None]] = {"api": _build_api_server, "e2e": _build_cluster}
"""Marker of a tier to what it needs."""
