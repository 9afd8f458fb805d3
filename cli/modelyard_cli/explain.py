"""`why`: the one fact that keeps an object from where its spec wants it, and what to do about it.

Pure; whoever reads a status from top to bottom finds the same, later.
"""

from dataclasses import dataclass
from datetime import datetime

from modelyard.api.deployment import ModelDeployment, ServedVersion
from modelyard.api.gates import refusal_text
from modelyard.api.meta import Condition
from modelyard.api.rollout import StepStatus
from modelyard.api.rules import DEPLOYMENT, TRAINING, Kind
from modelyard.api.training import ModelTraining
from modelyard.api.version import ModelVersion
from modelyard_cli.connection import Raw
from modelyard_cli.objects import condition, deployment_of, training_of, version_of
from modelyard_cli.state import training_standing, version_standing
from modelyard_cli.words import BAD, BUSY, GOOD, HELD, moment, span

COMMAND = "kubectl modelyard"


@dataclass(frozen=True, slots=True)
class Fact:
    """What holds an object back."""

    headline: str
    details: tuple[str, ...] = ()
    remedies: tuple[str, ...] = ()
    """Commands, or what to do in words."""
    mark: str = BUSY
    """Whether it is good, bad, waits for a person, or only takes time."""


def explain(kind: Kind, raw: Raw, now: datetime) -> Fact:
    """Explain an object of any of our kinds."""
    if kind is DEPLOYMENT:
        return explain_deployment(deployment_of(raw), now)
    if kind is TRAINING:
        return explain_training(training_of(raw))
    return explain_version(version_of(raw))


def explain_deployment(found: ModelDeployment, now: datetime) -> Fact:
    """Explain a deployment."""
    status = found.status
    if status.observed_generation < found.metadata.generation:
        return Fact("no operator has seen this spec yet", (), (f"{COMMAND} doctor",))
    accepted = condition(status.conditions, "Accepted")
    if accepted.status == "False":
        return _refused(found, accepted)
    if status.canary is not None:
        return _coming_up(found, status.canary, now)
    if condition(status.conditions, "GatesPassed").status == "False":
        return _gated(found)
    if status.blocked_version is not None:
        return _blocked(found)
    return _at_rest(found)


def _refused(found: ModelDeployment, accepted: Condition) -> Fact:
    version = found.spec.model_version_name
    remedies = {
        "VersionNotFound": (f"{COMMAND} list versions",),
        "VersionNotReady": (f"{COMMAND} why version/{version}",),
    }
    chosen = remedies.get(accepted.reason, (f"{COMMAND} doctor",))
    return Fact(f"the spec is refused: {accepted.reason}", (accepted.message,), chosen, BAD)


def _coming_up(found: ModelDeployment, canary: ServedVersion, now: datetime) -> Fact:
    """Explain a version that loads, or that is in one of the steps."""
    status = found.status
    if status.step is not None:
        return _step(found, canary, status.step, now)
    text = status.message or condition(status.conditions, "ModelLoaded").message
    remedies = (f"{COMMAND} logs deployment/{found.metadata.name} --version canary",)
    return Fact(f"{canary.model_version_name} is still loading", (text,), remedies)


def _step(found: ModelDeployment, canary: ServedVersion, step: StepStatus, now: datetime) -> Fact:
    name, waits = found.metadata.name, step.waiting_for
    where = f"step {step.shown}, {step.weight} % to {canary.model_version_name}"
    rollout = f"{COMMAND} rollout"
    match waits:
        case "Promote":
            orders = (f"{rollout} promote {name}", f"{rollout} abort {name}")
            return Fact(f"{where}: a pause waits for a person", (), orders, HELD)
        case "Resume":
            return Fact(f"{where}: somebody paused it", (), (f"{rollout} resume {name}",), HELD)
        case "Hold":
            return Fact(f"{where}: the weight is held", (_hold_left(found, step, now),))
        case "Checks":
            return _checks(found, where)
        case "Traffic" | "Gateway" | "Split" | "Requests":
            return _traffic(found, canary, where)
    return Fact(f"{where}: the operator is about to look at it")


def _traffic(found: ModelDeployment, canary: ServedVersion, where: str) -> Fact:
    """Explain why a weight is not in force, or not believed yet."""
    routed, traffic = condition(found.status.conditions, "TrafficProgrammed"), found.status.traffic
    details = [f"{canary.ready_replicas} pods of {canary.model_version_name} are ready"]
    if traffic is not None:
        details.append(routed.message)
        details.append(f"{traffic.samples} of {traffic.needed} requests counted. {traffic.message}")
    remedies = (f"{COMMAND} get deployment/{found.metadata.name}",)
    headline = f"{where}: its traffic is not in force yet"
    if traffic is not None and traffic.programmed_since is not None:
        headline = f"{where}: the split of the requests is not seen yet"
    return Fact(headline, tuple(details), remedies)


def _hold_left(found: ModelDeployment, step: StepStatus, now: datetime) -> str:
    steps = found.spec.rollout.whole()
    seconds = steps[min(step.index, len(steps) - 1)].hold_seconds
    if step.held_since is None:
        return f"for {seconds} s once it is in force"
    left = seconds - (now - moment(step.held_since)).total_seconds()
    return f"{span(left)} of {seconds} s left"


def _checks(found: ModelDeployment, where: str) -> Fact:
    """Explain which check has not passed, with its numbers and the time it needs."""
    open_checks = [check for check in found.status.analysis if check.verdict != "Pass"]
    if not open_checks:
        text = "there has been no traffic to judge yet"
        return Fact(f"{where}: {text}", (), ("send requests, or wait for some",))
    details = []
    for check in open_checks:
        left = f", about {span(check.eta_seconds)} to go" if check.eta_seconds else ""
        needed = f" of {check.needed}" if check.needed else ""
        details.append(f"{check.name}: {check.samples}{needed} requests{left}. {check.message}")
    names = " and ".join(check.name for check in open_checks)
    return Fact(f"{where}: check {names} needs more data", tuple(details))


def _gated(found: ModelDeployment) -> Fact:
    """Explain which gates refuse the version that the spec names."""
    name, version = found.metadata.name, found.spec.model_version_name
    failed = [gate for gate in found.status.gates if gate.verdict == "Failed"]
    details = tuple(f"{gate.name}: {gate.message}" for gate in failed)
    remedies = [f"{COMMAND} rollout undo {name}", "or change spec.rollout.gates"]
    if found.status.stable is not None:
        stable = found.status.stable.model_version_name
        remedies.insert(0, f"{COMMAND} compare {stable} {version}")
    names = " and ".join(gate.name for gate in failed)
    return Fact(f"{version} is refused by gate {names}", details, tuple(remedies), BAD)


def _blocked(found: ModelDeployment) -> Fact:
    status, name = found.status, found.metadata.name
    rolled_back = condition(status.conditions, "RolledBack")
    progressing = condition(status.conditions, "Progressing")
    cause = rolled_back if rolled_back.status == "True" else progressing
    version = (status.blocked_version or "").partition("/")[0]
    word = "rolled back" if rolled_back.status == "True" else "not brought up"
    evidence = [check.message for check in status.analysis if check.verdict == "Fail"]
    remedies = [f"{COMMAND} rollout retry {name}", f"{COMMAND} rollout undo {name}"]
    if status.stable is not None and status.stable.model_version_name != version:
        remedies.insert(0, f"{COMMAND} compare {status.stable.model_version_name} {version}")
    details = (cause.message, *evidence[:1])
    unique = tuple(dict.fromkeys(text for text in details if text and text not in cause.message))
    return Fact(
        f"{version} was {word}: {cause.reason}", (cause.message, *unique), tuple(remedies), BAD
    )


def _at_rest(found: ModelDeployment) -> Fact:
    status, name = found.status, found.metadata.name
    ready = condition(status.conditions, "Ready")
    if status.stable is None:
        return Fact("nothing serves yet", (ready.message,), (f"{COMMAND} doctor",))
    if ready.status != "True" or status.ready_replicas < found.spec.replicas:
        text = f"{status.ready or '0'} pods of {status.stable.model_version_name} are ready"
        remedies = (f"{COMMAND} get deployment/{name}", f"{COMMAND} logs deployment/{name}")
        return Fact(text, (ready.message,), remedies, BAD)
    routed = condition(status.conditions, "TrafficProgrammed")
    if found.spec.traffic.gateway is not None and routed.status != "True":
        text = f"requests do not come through the gateway: {routed.reason}"
        return Fact(text, (routed.message,), (), BAD if routed.status == "False" else BUSY)
    text = f"{status.stable.model_version_name} serves, {status.ready} pods ready"
    return Fact(f"nothing holds it back: {text}", mark=GOOD)


def explain_training(found: ModelTraining) -> Fact:
    """Explain a training."""
    status, name = found.status, found.metadata.name
    failed = condition(status.conditions, "Failed")
    if condition(status.conditions, "Complete").status == "True":
        text = f"it is complete and became {status.model_version_name}"
        return Fact(f"nothing holds it back: {text}", mark=GOOD)
    if failed.status == "True":
        return _failed_training(found, failed)
    accepted = condition(status.conditions, "Accepted")
    if accepted.status == "False":
        return Fact(f"the spec is refused: {accepted.reason}", (accepted.message,), mark=BAD)
    for kind in ("Running", "Progressing"):
        judged = condition(status.conditions, kind)
        if judged.status == "False" and judged.message:
            logs = (f"{COMMAND} logs training/{name}",)
            return Fact(f"it waits: {judged.reason}", (judged.message,), logs)
    if status.observed_generation < found.metadata.generation:
        return Fact("no operator has seen this spec yet", (), (f"{COMMAND} doctor",))
    standing = training_standing(found).line
    return Fact(f"nothing holds it back: {standing}", mark=GOOD)


def _failed_training(found: ModelTraining, failed: Condition) -> Fact:
    status = found.status
    details = [failed.message]
    if status.evaluation is not None and (text := refusal_text(status.evaluation)):
        details = [text]
    remedies = list[str]()
    if status.failure is not None:
        details.append(status.failure.message)
        remedies.append(status.failure.hint)
        if status.failure.log_tail:
            details.append("the log ends with: " + status.failure.log_tail.rstrip())
    if failed.reason == "GatesFailed":
        remedies = ["change recipe, data or gate in a new ModelTraining"]
    unique = tuple(dict.fromkeys(filter(None, details)))
    return Fact(f"it failed: {failed.reason}", unique, tuple(remedies), BAD)


def explain_version(found: ModelVersion) -> Fact:
    """Explain a version."""
    status = found.status
    if found.metadata.deletion_timestamp and status.used_by:
        users = ", ".join(status.used_by)
        text = f"its deletion waits for {users}"
        return Fact(text, (), ("let them name another version, or delete them",))
    bad = next((c for c in status.conditions if c.status == "False" and c.type != "InUse"), None)
    if bad is not None:
        remedies = ("train it again: a version that differs from its manifest is never served",)
        return Fact(f"it cannot be served: {bad.reason}", (bad.message,), remedies, BAD)
    open_one = next((c for c in status.conditions if c.status == "Unknown" and c.message), None)
    if open_one is not None:
        return Fact(f"it waits: {open_one.reason}", (open_one.message,), (f"{COMMAND} doctor",))
    return Fact(f"nothing holds it back: {version_standing(found).line}", mark=GOOD)
