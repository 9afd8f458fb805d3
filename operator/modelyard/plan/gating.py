"""Gates before traffic: what a version must have shown before one of its pods starts.

They compare two immutable ModelVersions, so the same question always has the same answer: nothing
is remembered, and an edit of the gates is all it takes to ask another one.
"""

from collections.abc import Iterable, Iterator
from decimal import Decimal

from modelyard.api.deployment import ModelDeploymentStatus, ServedVersion
from modelyard.api.rollout import SERVING_ACTIONS
from modelyard.api.rollout_gates import RegressionGate, ReleaseGate, ReleaseGateResult
from modelyard.api.training import Direction
from modelyard.api.version import ModelVersion, Signature, TensorSpec
from modelyard.plan.conditions import bounded

FREE = -1


def exempt(status: ModelDeploymentStatus, wanted: ServedVersion) -> str:
    """Return why a version is not gated, or nothing: going back must never be refused."""
    if status.stable is None:
        return "No version serves yet: there is nothing to compare with."
    known = {entry.digest for entry in status.history if entry.action in SERVING_ACTIONS}
    if wanted.digest in known | {status.stable.digest}:
        return f"{wanted.model_version_name} has served before."
    return ""


def judge_release(
    gates: Iterable[ReleaseGate], stable: ModelVersion, target: ModelVersion
) -> tuple[ReleaseGateResult, ...]:
    """Judge every gate of a release from `stable` to `target`."""
    return tuple(_judge(gate, stable, target) for gate in gates)


def refused_by(results: Iterable[ReleaseGateResult]) -> str:
    """Say which gates refuse the release and why; nothing if none does."""
    failed = (result for result in results if result.verdict == "Failed")
    return "; ".join(f"gate {result.name}: {result.message}" for result in failed)


def _judge(gate: ReleaseGate, stable: ModelVersion, target: ModelVersion) -> ReleaseGateResult:
    if gate.evaluation is not None:
        passed, message = _regression(gate.evaluation, stable, target)
    else:
        breaks = list(_breaks(stable, target))
        passed = not breaks
        message = "; ".join(breaks) or f"it answers whatever {stable.metadata.name} does"
    verdict = "Passed" if passed else "Failed"
    return ReleaseGateResult(name=gate.name, verdict=verdict, message=bounded(message))


def _regression(
    gate: RegressionGate, stable: ModelVersion, target: ModelVersion
) -> tuple[bool, str]:
    """Compare two measured values; values of different data are not compared."""
    where = f"on {gate.data_name} ({gate.slice})"
    values = []
    for version in (stable, target):
        value = _measured(version, gate)
        if value is None:
            return False, f"{version.metadata.name} has no {gate.metric} {where}: evaluate it there"
        values.append(Decimal(value))
    if _data_digest(stable, gate.data_name) != _data_digest(target, gate.data_name):
        names = f"{target.metadata.name} and {stable.metadata.name}"
        text = f"{names} were measured on different {gate.data_name} data: use the same file"
        return False, text
    before, after = values
    worse = before - after if gate.direction is Direction.MAXIMIZE else after - before
    text = (
        f"{gate.metric} is {after}, {stable.metadata.name} has {before},"
        f" at most {gate.max_regression} worse is allowed"
    )
    return worse <= Decimal(gate.max_regression), text


def _data_digest(version: ModelVersion, name: str) -> str | None:
    datasets = version.spec.lineage.datasets
    return next((data.digest for data in datasets if data.name == name), None)


def _measured(version: ModelVersion, gate: RegressionGate) -> str | None:
    wanted = (gate.metric, gate.data_name, gate.slice)
    found = (
        metric.value
        for metric in version.spec.metrics
        if (metric.name, metric.data_name, metric.slice) == wanted
    )
    return next(found, None)


def _breaks(stable: ModelVersion, target: ModelVersion) -> Iterator[str]:
    """Yield what would surprise a client that was written for the stable version."""
    offered = {signature.name: signature for signature in target.spec.signatures}
    for signature in stable.spec.signatures:
        other = offered.get(signature.name)
        if other is None:
            yield f"signature {signature.name} is gone"
        elif other.method != signature.method:
            yield f"signature {signature.name} answers to {other.method}, not {signature.method}"
        else:
            yield from _signature_breaks(signature, other)


def _signature_breaks(before: Signature, after: Signature) -> Iterator[str]:
    where = f"signature {before.name}"
    inputs = {tensor.name for tensor in before.inputs}
    for tensor in after.inputs:
        if tensor.name not in inputs:
            yield f"{where} wants an input {tensor.name} that no client sends"
    yield from _tensor_breaks(f"{where}: input", before.inputs, after.inputs, widens=True)
    yield from _tensor_breaks(f"{where}: output", before.outputs, after.outputs, widens=False)


def _tensor_breaks(
    where: str, before: Iterable[TensorSpec], after: Iterable[TensorSpec], *, widens: bool
) -> Iterator[str]:
    """Yield what differs; an input may take more shapes than before, an output may not."""
    offered = {tensor.name: tensor for tensor in after}
    for tensor in before:
        other = offered.get(tensor.name)
        if other is None:
            yield f"{where} {tensor.name} is gone"
            continue
        wide, narrow = (other, tensor) if widens else (tensor, other)
        if other.dtype != tensor.dtype or not _covers(wide.shape, narrow.shape):
            yield (f"{where} {tensor.name} is {_shown(other)}, and clients know {_shown(tensor)}")


def _covers(wide: tuple[int, ...], narrow: tuple[int, ...]) -> bool:
    """Tell whether every shape of `narrow` is one of `wide`.

    >>> _covers((-1, 64), (32, 64)), _covers((32, 64), (-1, 64)), _covers((-1,), (-1, 1))
    (True, False, False)
    """
    return len(wide) == len(narrow) and all(
        free in (FREE, size) for free, size in zip(wide, narrow, strict=True)
    )


def _shown(tensor: TensorSpec) -> str:
    return f"{tensor.dtype}{list(tensor.shape)}"
