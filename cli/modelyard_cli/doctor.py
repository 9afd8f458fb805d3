"""`doctor`: checks a cluster from API server to store Secret; each line has its remedy."""

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum

from rich.text import Text

from modelyard.api.meta import Observed
from modelyard.api.names import API_VERSION, GROUP, store_secret
from modelyard.api.rules import KINDS, MODEL_VERSION, TRAINING, Kind
from modelyard_cli import kinds, screen
from modelyard_cli.connection import Api, Raw, Refusal
from modelyard_cli.exits import Exit
from modelyard_cli.objects import known_fields
from modelyard_cli.options import Format
from modelyard_cli.words import BAD, GOOD, HELD, STYLES, age, moment

CRDS = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
LEASES = "/apis/coordination.k8s.io/v1/leases"
ACCESS = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews"
NODES = "/api/v1/nodes"
SECRETS = "/api/v1/secrets"
METADATA = "application/json;as=PartialObjectMetadata;v=v1;g=meta.k8s.io"
OPERATOR = "app.kubernetes.io/component=operator,app.kubernetes.io/name=modelyard"
OLDEST = (1, 32)
"""Kubernetes must be so new: selectable fields of custom resources."""
GPU = "nvidia.com/gpu"
ACTIONS = (
    ("list", "modeltrainings", "", "viewer"),
    ("list", "modelversions", "", "viewer"),
    ("list", "modeldeployments", "", "viewer"),
    ("create", "modeltrainings", "", "trainer"),
    ("patch", "modeldeployments", "", "deployer"),
    ("promote", "modeldeployments", "", "deployer"),
    ("abort", "modeldeployments", "", "deployer"),
)
INSTALL = "helm upgrade --install modelyard charts/modelyard, with crds.enabled=true"


class Verdict(StrEnum):
    """What a check says."""

    OK = "ok"
    WARN = "warn"
    FAIL = "fail"


MARKS = {Verdict.OK: GOOD, Verdict.WARN: HELD, Verdict.FAIL: BAD}


@dataclass(frozen=True, slots=True)
class Finding:
    """One line of the report."""

    what: str
    verdict: Verdict
    text: str
    remedy: str = ""


async def doctor(api: Api, form: Format) -> Exit:
    """Print every check; fail if one fails."""
    groups = await asyncio.gather(*(_guarded(api, check) for check in CHECKS))
    findings = [finding for group in groups for finding in group]
    if form in {Format.JSON, Format.YAML}:
        keys = ("what", "verdict", "text", "remedy")
        screen.dump([{key: str(getattr(f, key)) for key in keys} for f in findings], form)
    else:
        for finding in findings:
            screen.tell(_line(finding))
    failed = any(finding.verdict is Verdict.FAIL for finding in findings)
    return Exit.FAILED if failed else Exit.REACHED


def _line(finding: Finding) -> Text:
    mark = MARKS[finding.verdict]
    line = Text(f"{mark} ", STYLES[mark]).append(f"{finding.what:<12}", "bold")
    line.append(f" {finding.text}")
    return line.append(f"\n  ↳ {finding.remedy}", "cyan") if finding.remedy else line


Check = Callable[[Api], Awaitable[list[Finding]]]


async def _guarded(api: Api, check: Check) -> list[Finding]:
    """Run a check; one that the user may not make is a warning."""
    try:
        return await check(api)
    except Refusal as refusal:
        if not refusal.forbidden:
            raise
        what = check.__name__.removeprefix("check_").replace("_", " ")
        text = "you may not look at this"
        return [Finding(what, Verdict.WARN, text, "ask an administrator to run doctor")]


async def check_server(api: Api) -> list[Finding]:
    """Is Kubernetes new enough?"""
    told = await api.get("/version")
    version = int(told["major"]), int("".join(filter(str.isdigit, told["minor"])))
    text = f"Kubernetes {told['gitVersion']}"
    if version < OLDEST:
        remedy = f"upgrade Kubernetes to {OLDEST[0]}.{OLDEST[1]} or later"
        return [Finding("server", Verdict.FAIL, text, remedy)]
    return [Finding("server", Verdict.OK, text)]


async def check_kinds(api: Api) -> list[Finding]:
    """Are the CRDs there, and do they know the fields that this program knows?"""
    return list(await asyncio.gather(*(_crd(api, kind) for kind in KINDS)))


async def _crd(api: Api, kind: Kind) -> Finding:
    what = kind.short_name
    try:
        crd = await api.get(kinds.place(CRDS, name=f"{kind.plural}.{GROUP}"))
    except Refusal as refusal:
        if not refusal.missing:
            raise
        return Finding(what, Verdict.FAIL, f"{kind.name} is not installed", INSTALL)
    return judged_crd(kind, crd)


def judged_crd(kind: Kind, crd: Raw) -> Finding:
    """Judge a CRD: is our version served, and does it have the fields that we know?"""
    what, wanted = kind.short_name, API_VERSION.partition("/")[2]
    served = {v["name"]: v for v in crd["spec"]["versions"] if v["served"]}
    if wanted not in served:
        text = f"{kind.name} is served as {', '.join(served)}, and {wanted} is spoken here"
        return Finding(what, Verdict.FAIL, text, INSTALL)
    schema = served[wanted]["schema"]["openAPIV3Schema"]["properties"]
    lacking = sorted(_lacking(kind.model, schema))
    if lacking:
        text = f"{kind.name} is of another release: it lacks {', '.join(lacking)}"
        return Finding(what, Verdict.FAIL, text, INSTALL)
    return Finding(what, Verdict.OK, f"{kind.name} is served as {wanted}")


def _lacking(model: type[Observed], schema: Raw) -> Iterable[str]:
    for part in ("spec", "status"):
        there = schema.get(part, {}).get("properties", {})
        yield from (f"{part}.{name}" for name in known_fields(model, part) - set(there))


async def check_operator(api: Api) -> list[Finding]:
    """Does an operator run, and does one hold the Lease?"""
    listed = await api.get(kinds.WORKLOADS, labelSelector=OPERATOR)
    if not listed["items"]:
        text = "no operator is installed by the chart"
        return [Finding("operator", Verdict.FAIL, text, INSTALL)]
    found = list[Finding]()
    for workload in listed["items"]:
        found += [_running(workload), await _leader(api, workload)]
    return found


def _running(workload: Raw) -> Finding:
    meta, status = workload["metadata"], workload.get("status") or {}
    ready, wanted = status.get("readyReplicas", 0), workload["spec"].get("replicas", 1)
    text = f"{meta['namespace']}/{meta['name']}: {ready}/{wanted} ready"
    if not ready:
        remedy = f"kubectl -n {meta['namespace']} describe deployment {meta['name']}"
        return Finding("operator", Verdict.FAIL, text, remedy)
    return Finding("operator", Verdict.OK, text)


async def _leader(api: Api, workload: Raw) -> Finding:
    """Look at the Lease, which the chart names after the Deployment."""
    meta = workload["metadata"]
    remedy = f"kubectl -n {meta['namespace']} logs deployment/{meta['name']}"
    try:
        lease = await api.get(kinds.place(LEASES, meta["namespace"], meta["name"]))
    except Refusal as refusal:
        if not refusal.missing:
            raise
        text = f"there is no Lease {meta['namespace']}/{meta['name']}"
        return Finding("leader", Verdict.FAIL, text, remedy)
    return judged_lease(lease, datetime.now(UTC), remedy)


def judged_lease(lease: Raw, now: datetime, remedy: str) -> Finding:
    """Judge a Lease: does somebody hold it, and renew it?"""
    spec = lease["spec"]
    holder, renewed = spec.get("holderIdentity"), spec.get("renewTime")
    if not holder or not renewed:
        return Finding("leader", Verdict.FAIL, "nobody holds the Lease", remedy)
    silent = (now - moment(renewed)).total_seconds()
    text = f"{holder} leads, renewed {age(renewed, now)} ago"
    if silent > spec.get("leaseDurationSeconds", 15):
        return Finding("leader", Verdict.FAIL, f"{text}: it is silent", remedy)
    return Finding("leader", Verdict.OK, text)


async def check_rights(api: Api) -> list[Finding]:
    """What may this user do here?"""
    return list(await asyncio.gather(*(_right(api, *action) for action in ACTIONS)))


async def _right(api: Api, verb: str, resource: str, part: str, role: str) -> Finding:
    asked = {"namespace": api.namespace, "verb": verb, "group": GROUP, "resource": resource}
    body = {
        "apiVersion": "authorization.k8s.io/v1",
        "kind": "SelfSubjectAccessReview",
        "spec": {"resourceAttributes": {**asked, "subresource": part}},
    }
    answer = await api.write("POST", ACCESS, body)
    text = f"{verb} {resource} in {api.namespace}"
    if answer["status"].get("allowed"):
        return Finding("rights", Verdict.OK, f"you may {text}")
    verdict = Verdict.FAIL if role == "viewer" else Verdict.WARN
    return Finding("rights", verdict, f"you may not {text}", f"ask for the role modelyard-{role}")


async def check_secrets(api: Api) -> list[Finding]:
    """Are the store's credentials in this namespace?"""
    stores = await _stores(api)
    return list(await asyncio.gather(*(_secret(api, store) for store in sorted(stores))))


async def _stores(api: Api) -> set[str]:
    """Return the stores that objects of this namespace name."""
    trainings, versions = await asyncio.gather(
        *(api.get(kinds.path_of(kind, api.namespace)) for kind in (TRAINING, MODEL_VERSION))
    )
    named = {str(raw["spec"].get("storeName", "default")) for raw in trainings["items"]}
    named |= {str(raw["spec"]["artifact"]["storeName"]) for raw in versions["items"]}
    return named or {"default"}


async def _secret(api: Api, store: str) -> Finding:
    name = store_secret(store)
    try:
        await api.read(kinds.place(SECRETS, api.namespace, name), accept=METADATA)
    except Refusal as refusal:
        if not refusal.missing:
            raise
        text = f"there is no Secret {name} in {api.namespace}"
        remedy = "make it with AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, unless pods have a"
        return Finding("store", Verdict.WARN, text, f"{remedy} workload identity")
    return Finding("store", Verdict.OK, f"Secret {name} is there")


async def check_gpus(api: Api) -> list[Finding]:
    """Does a node offer GPUs?"""
    listed = await api.get(NODES)
    offered = [
        int((n.get("status") or {}).get("allocatable", {}).get(GPU, 0)) for n in listed["items"]
    ]
    if not any(offered):
        text = f"no node offers {GPU}: trainings that ask for it wait"
        return [Finding("gpus", Verdict.WARN, text, "install the device plugin, or set count: 0")]
    return [
        Finding("gpus", Verdict.OK, f"{sum(offered)} x {GPU} on {sum(map(bool, offered))} nodes")
    ]


CHECKS: tuple[Check, ...] = (
    check_server,
    check_kinds,
    check_operator,
    check_rights,
    check_secrets,
    check_gpus,
)
