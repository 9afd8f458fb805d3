"""The worked examples of the judge's statistics, and their agreement with SciPy."""

import doctest

import pytest
from scipy import stats

from modelyard.plan.statistics import dispersion, distances, ranks, rates


@pytest.mark.parametrize("module", [dispersion, distances, ranks, rates])
def test_worked_examples(module):
    done = doctest.testmod(module)
    assert done.attempted
    assert not done.failed


def test_ranks_agree_with_scipy():
    stable, canary = [30, 50, 15, 5], [20, 45, 25, 10]
    spread = [
        [bucket for bucket, count in enumerate(side) for _ in range(count)]
        for side in (stable, canary)
    ]
    found = stats.mannwhitneyu(
        spread[1], spread[0], alternative="greater", use_continuity=False, method="asymptotic"
    )
    assert stats.norm.sf(ranks.rank(stable, canary).z) == pytest.approx(found.pvalue, abs=1e-6)
