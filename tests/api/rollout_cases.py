"""Rollouts that the API server must accept and refuse."""

from tests.api.crd_cases import Case, deployment

_STEPS = "spec.rollout.steps"
_CHECKS = "spec.rollout.analysis.checks"
_TEN = [{"weight": 10, "holdSeconds": 60}]
_ERRORS = {"name": "errors", "errorRate": {}}
_SLOW = {"name": "slow", "latency": {}}
_GATES = "spec.rollout.gates"
_BETTER = {"metric": "accuracy", "maxRegression": "0.002"}

ACCEPTED = (
    Case("steps", deployment, {_STEPS: [*_TEN, {"pause": {}}, {"weight": 50}, {"weight": 100}]}),
    Case("checks", deployment, {_STEPS: _TEN, _CHECKS: [_ERRORS, _SLOW]}),
    Case("no steps", deployment, {_STEPS: []}),
    Case("a paused rollout", deployment, {"spec.paused": True}),
    Case(
        "gates",
        deployment,
        {
            _GATES: [
                {"name": "io", "signatureCompatible": {}},
                {"name": "better", "evaluation": _BETTER},
                {"name": "loss", "evaluation": {"metric": "log_loss", "direction": "Minimize"}},
            ]
        },
    ),
)

REFUSED = (
    Case(
        "a step that is two",
        deployment,
        {_STEPS: [{"weight": 10, "pause": {}}]},
        (f"{_STEPS}[0]", "exactly one of weight and pause", "two steps"),
    ),
    Case(
        "a step that is none",
        deployment,
        {_STEPS: [{"holdSeconds": 10}]},
        (f"{_STEPS}[0]", "exactly one of weight and pause"),
    ),
    Case(
        "a held pause",
        deployment,
        {_STEPS: [{"pause": {}, "holdSeconds": 10}]},
        (f"{_STEPS}[0]", "holdSeconds goes with a weight"),
    ),
    Case(
        "weights that fall",
        deployment,
        {_STEPS: [{"weight": 50}, {"weight": 10}]},
        (_STEPS, "must rise", "put the weights in order"),
    ),
    Case(
        "a weight twice",
        deployment,
        {_STEPS: [{"weight": 50}, {"weight": 50}]},
        (_STEPS, "must rise", "each one once"),
    ),
    Case(
        "more than everything",
        deployment,
        {_STEPS: [{"weight": 101}]},
        (f"{_STEPS}[0].weight", "less than or equal to 100"),
    ),
    Case(
        "checks without a comparison",
        deployment,
        {_CHECKS: [_ERRORS]},
        ("spec.rollout", "add a step with a weight below 100"),
    ),
    Case(
        "checks at the end only",
        deployment,
        {_STEPS: [{"weight": 100}], _CHECKS: [_ERRORS]},
        ("spec.rollout", "add a step with a weight below 100"),
    ),
    Case(
        "a check of nothing",
        deployment,
        {_STEPS: _TEN, _CHECKS: [{"name": "x"}]},
        (f"{_CHECKS}[0]", "exactly one of errorRate and latency"),
    ),
    Case(
        "two checks of a kind",
        deployment,
        {_STEPS: _TEN, _CHECKS: [_ERRORS, {"name": "more", "errorRate": {}}]},
        (_CHECKS, "two of a kind", "keep the stricter one"),
    ),
    Case(
        "percent instead of a share",
        deployment,
        {_STEPS: _TEN, _CHECKS: [{"name": "errors", "errorRate": {"max": "5"}}]},
        (f"{_CHECKS}[0].errorRate", "max must lie between 0 and 1", "0.05"),
    ),
    Case(
        "a margin below nothing",
        deployment,
        {_STEPS: _TEN, _CHECKS: [{"name": "errors", "errorRate": {"margin": "-0.1"}}]},
        (f"{_CHECKS}[0].errorRate", "margin must be at least 0"),
    ),
    Case(
        "an alpha of one",
        deployment,
        {_STEPS: _TEN, _CHECKS: [{"name": "errors", "errorRate": {"alpha": "1"}}]},
        (f"{_CHECKS}[0].errorRate", "alpha must be above 0"),
    ),
    Case(
        "a slowdown that is a speed-up",
        deployment,
        {_STEPS: _TEN, _CHECKS: [{"name": "slow", "latency": {"maxSlowdown": "0.9"}}]},
        (f"{_CHECKS}[0].latency", "maxSlowdown must lie between 1 and 16"),
    ),
    Case(
        "no alpha for latency",
        deployment,
        {_STEPS: _TEN, _CHECKS: [{"name": "slow", "latency": {"alpha": "0"}}]},
        (f"{_CHECKS}[0].latency", "alpha must be above 0"),
    ),
    Case(
        "a gate that is two",
        deployment,
        {_GATES: [{"name": "io", "signatureCompatible": {}, "evaluation": _BETTER}]},
        (f"{_GATES}[0]", "exactly one of evaluation and signatureCompatible", "two gates"),
    ),
    Case(
        "a gate on what nobody measures",
        deployment,
        {_GATES: [{"name": "x", "evaluation": {"metric": "luck"}}]},
        (f"{_GATES}[0].evaluation", "not measured", "accuracy"),
    ),
    Case(
        "a loss that should grow",
        deployment,
        {_GATES: [{"name": "x", "evaluation": {"metric": "log_loss"}}]},
        (f"{_GATES}[0].evaluation", "direction must be Minimize"),
    ),
    Case(
        "a gate that asks for progress",
        deployment,
        {_GATES: [{"name": "x", "evaluation": {**_BETTER, "maxRegression": "-0.1"}}]},
        (f"{_GATES}[0].evaluation", "maxRegression is negative", "0.002"),
    ),
    Case(
        "two gates of one name",
        deployment,
        {_GATES: [{"name": "io", "signatureCompatible": {}}] * 2},
        (f"{_GATES}[1]", "Duplicate value"),
    ),
)
