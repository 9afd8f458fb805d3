"""How an attempt ended: done, interrupted, or failed; and what to do about a failure.

The order of the rules is the specification: a permanent exit code wins over everything, then a
disruption that Kubernetes announced, then the exit code.
"""

import re
from dataclasses import dataclass, replace

from pydantic import ValidationError

from modelyard.api.reasons import FailureCategory
from modelyard.api.run import ExitCode, RunResult
from modelyard.plan.observed import ContainerView, JobView, PodView, RunFact

TRAINER = "trainer"
TERMINATED = 143
"""Exit code of a process that SIGTERM ended."""

HINTS = {
    FailureCategory.INVALID_CONFIGURATION: "Correct spec.recipe and create a new ModelTraining.",
    FailureCategory.DATA_ERROR: "Check spec.data: location, digest, format and schema of the file.",
    FailureCategory.DIVERGED: (
        "Lower spec.recipe.optimizer.learningRate, or raise regularization, in a new ModelTraining."
    ),
    FailureCategory.OUT_OF_MEMORY: (
        "Raise spec.compute.resources.limits.memory, or lower spec.recipe.batchSize."
    ),
    FailureCategory.STORE_ERROR: "Check that the store answers and kept its files.",
    FailureCategory.APPLICATION_ERROR: "Read the log: it ends with the cause.",
    FailureCategory.RESULT_MISSING: (
        "Check that the trainer image honours the run contract of this operator's version."
    ),
    FailureCategory.NAME_CONFLICT: "Delete or rename the object that has this name already.",
    FailureCategory.INTERRUPTED: "Nothing to do: the next attempt resumes from the checkpoint.",
    FailureCategory.POD_LOST: "Nothing to do: the next attempt resumes from the checkpoint.",
}

_PERMANENT = {
    ExitCode.BAD_CONFIGURATION: FailureCategory.INVALID_CONFIGURATION,
    ExitCode.DATA_ERROR: FailureCategory.DATA_ERROR,
    ExitCode.DIVERGED: FailureCategory.DIVERGED,
}
_JOB_SAYS = re.compile(r" failed with exit code (\d+) matching FailJob rule ")
_KILLS = frozenset({int(ExitCode.INTERRUPTED), int(ExitCode.KILLED), TERMINATED})


@dataclass(frozen=True, slots=True)
class Done:
    """The trainer published a version."""

    version: int
    manifest_digest: str
    result: RunResult


@dataclass(frozen=True, slots=True)
class Interrupted:
    """Something other than the program ended the attempt."""

    reason: str
    result: RunResult | None = None


@dataclass(frozen=True, slots=True)
class Failed:
    """The program failed."""

    category: FailureCategory
    message: str
    hint: str
    permanent: bool = False
    exit_code: int | None = None
    log_tail: str = ""
    """Text of the termination message, where the kubelet put the end of the log there."""


Ending = Done | Interrupted | Failed


def ending_of(pod: PodView | None, job: JobView | None) -> Ending:
    """Classify the end of an attempt by its finished pod; by its Job if the pod vanished."""
    if pod is None:
        return _vanished(job)
    trainer = pod.container(TRAINER) or ContainerView(TRAINER)
    result = _result(trainer.termination_message)
    if trainer.exit_code == ExitCode.DONE:
        return _done(pod, result)
    return _failed(pod, trainer, result)


def _vanished(job: JobView | None) -> Ending:
    """Take the exit code from the Job, which outlives a pod that somebody deleted.

    The words are those of Kubernetes 1.36, pkg/controller/job/pod_failure_policy.go.
    """
    told = _JOB_SAYS.search(job.failure_message) if job else None
    if job is None or told is None:
        return Interrupted(FailureCategory.POD_LOST)
    code = int(told[1])
    if code not in _PERMANENT:
        return Interrupted(f"Exit{code}")
    message = f"The trainer of Job {job.name} exited with code {code}; its pod is gone."
    failure = failed(_PERMANENT[ExitCode(code)], message)
    return replace(failure, permanent=True, exit_code=code)


def published(fact: RunFact) -> Done | None:
    """Return the ending of a run that the store calls committed, whatever became of its pod."""
    if fact.version is None:
        return None
    result = RunResult(
        exit_code=ExitCode.DONE, version=fact.version, manifest_digest=fact.manifest_digest
    )
    return Done(fact.version, fact.manifest_digest, result)


def failed(category: FailureCategory, message: str) -> Failed:
    """Return a failure of that category with its standard hint."""
    return Failed(category, message, HINTS[category])


def _result(text: str) -> RunResult | None:
    """Parse a termination message; anything but the run contract's JSON reads as None."""
    try:
        return RunResult.model_validate_json(text)
    except ValidationError:
        return None


def _done(pod: PodView, result: RunResult | None) -> Ending:
    if result and result.version and result.manifest_digest:
        return Done(result.version, result.manifest_digest, result)
    return failed(
        FailureCategory.RESULT_MISSING,
        f"Pod {pod.name} exited 0, but its termination message names no version and digest.",
    )


def _failed(pod: PodView, trainer: ContainerView, result: RunResult | None) -> Ending:
    code = trainer.exit_code
    if code in _PERMANENT:
        return _failure(pod, trainer, result, _PERMANENT[ExitCode(code)])
    if pod.disrupted:
        return Interrupted(pod.disrupted, result)
    if code is None:
        return Interrupted(FailureCategory.POD_LOST, result)
    if trainer.termination_reason == "OOMKilled":
        return _failure(pod, trainer, None, FailureCategory.OUT_OF_MEMORY)
    if code in _KILLS:
        return Interrupted(f"Exit{code}", result)
    category = result.category if result else None
    return _failure(pod, trainer, result, category or FailureCategory.APPLICATION_ERROR)


def _failure(
    pod: PodView, trainer: ContainerView, result: RunResult | None, category: FailureCategory
) -> Failed:
    message = result.message if result and result.message else _described(pod, trainer, category)
    return Failed(
        category=category,
        message=message,
        hint=result.hint if result and result.hint else HINTS[category],
        permanent=trainer.exit_code in _PERMANENT,
        exit_code=trainer.exit_code,
        log_tail="" if result else trainer.termination_message,
    )


def _described(pod: PodView, trainer: ContainerView, category: FailureCategory) -> str:
    if category is FailureCategory.OUT_OF_MEMORY:
        return f"The trainer of pod {pod.name} used more memory than its limit and was killed."
    return f"The trainer of pod {pod.name} exited with code {trainer.exit_code}."
