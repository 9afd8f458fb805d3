"""Examples in docstrings hold, wherever the pure packages and the command line have one."""

import doctest
import importlib
import pkgutil

import pytest

import modelyard.api
import modelyard.plan
import modelyard_cli

MODULES = [
    found.name
    for package in (modelyard.api, modelyard.plan, modelyard_cli)
    for found in pkgutil.walk_packages(package.__path__, f"{package.__name__}.")
]


def test_the_packages_have_examples():
    found = doctest.DocTestFinder().find
    assert sum(bool(t.examples) for n in MODULES for t in found(importlib.import_module(n))) >= 8


@pytest.mark.parametrize("name", MODULES)
def test_examples_in_docstrings_hold(name):
    assert doctest.testmod(importlib.import_module(name)).failed == 0
