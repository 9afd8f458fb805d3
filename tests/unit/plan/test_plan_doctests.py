import doctest
import importlib

import pytest

MODULES = ("clock", "conditions", "gates", "progress")


@pytest.mark.parametrize("name", MODULES)
def test_examples_in_docstrings_hold(name):
    outcome = doctest.testmod(importlib.import_module(f"modelyard.plan.{name}"))
    assert outcome.attempted > 0
    assert outcome.failed == 0
