"""`doctor`: what a CRD, a Lease and a right say, and `compare`: what differs."""

from datetime import UTC, datetime

import pytest
import yaml

from modelyard.api.rules import DEPLOYMENT, KINDS
from modelyard_cli.compare import Known, rows_of
from modelyard_cli.connection import Refusal
from modelyard_cli.doctor import Verdict, judged_crd, judged_lease
from modelyard_cli.exits import Exit
from modelyard_cli.running import explained
from modelyard_cli.words import seconds_of
from tests.builders import OTHER_DIGEST, make_version
from tests.unit.cli.test_cli_start import ROOT

NOW = datetime(2026, 1, 31, 12, 0, 0, tzinfo=UTC)


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.plural)
def test_the_crds_of_this_checkout_have_every_field(kind):
    crd = yaml.safe_load((ROOT / f"crds/{kind.plural}.yaml").read_text())
    assert judged_crd(kind, crd).verdict is Verdict.OK


def test_a_crd_of_another_release_lacks_fields():
    crd = yaml.safe_load((ROOT / "crds/modeldeployments.yaml").read_text())
    schema = crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]
    del schema["spec"]["properties"]["rollout"]
    finding = judged_crd(DEPLOYMENT, crd)
    assert finding.verdict is Verdict.FAIL
    assert "it lacks spec.rollout" in finding.text
    crd["spec"]["versions"][0]["name"] = "v1"
    assert "is served as v1" in judged_crd(DEPLOYMENT, crd).text


@pytest.mark.parametrize(
    ("spec", "verdict"),
    [
        ({"holderIdentity": "a", "renewTime": "2026-01-31T11:59:55.123456Z"}, Verdict.OK),
        ({"holderIdentity": "a", "renewTime": "2026-01-31T11:50:00.000000Z"}, Verdict.FAIL),
        ({"holderIdentity": ""}, Verdict.FAIL),
    ],
)
def test_a_lease_is_held_and_renewed(spec, verdict):
    assert judged_lease({"spec": spec}, NOW, "").verdict is verdict


@pytest.mark.parametrize(
    ("refusal", "code", "hint"),
    [
        (Refusal(404, "", "404 page not found"), Exit.NOT_FOUND, "install Modelyard"),
        (Refusal(404, "NotFound", "pods x not found"), Exit.NOT_FOUND, ""),
        (Refusal(403, "Forbidden", "cannot list modelyard.dev"), Exit.FORBIDDEN, "-viewer"),
        (
            Refusal(403, "Forbidden", "cannot create modeltrainings.modelyard.dev"),
            Exit.FORBIDDEN,
            "-trainer",
        ),
        (Refusal(403, "Forbidden", "ana has no right: modelyard.dev"), Exit.FORBIDDEN, "-deployer"),
        (Refusal(403, "Forbidden", "cannot get pods/log"), Exit.FORBIDDEN, "administers"),
        (Refusal(409, "Conflict", "changed"), Exit.WRONG_STATE, "try again"),
        (Refusal(422, "Invalid", "spec.x"), Exit.USAGE, "correct"),
        (Refusal(401, "Unauthorized", ""), Exit.API_ERROR, ""),
        (Refusal(500, "InternalError", "etcd"), Exit.API_ERROR, ""),
    ],
)
def test_a_refusal_has_its_exit_code_and_remedy(refusal, code, hint):
    stop = explained(refusal)
    assert stop.code is code
    assert hint in stop.remedy


def test_compare_tells_better_from_worse_and_finds_what_differs():
    old, new = make_version(3), make_version(4, OTHER_DIGEST)
    spec = new.spec.model_copy(
        update={
            "metrics": tuple(
                m.model_copy(update={"value": "0.3" if m.name == "log_loss" else "0.98"})
                for m in new.spec.metrics
            )
        }
    )
    new = new.model_copy(update={"spec": spec})
    recipes = {"optimizer": {"name": "Adam"}}, {"optimizer": {"name": "SGD"}, "epochs": 3}
    rows = list(rows_of(Known(old, recipes[0]), Known(new, recipes[1])))
    found = {(row.group, row.name): row for row in rows}
    assert found["metric", "accuracy"].better is True
    assert found["metric", "log_loss"].better is False
    assert found["metric", "log_loss"].delta == "+0.1"
    changed = found["recipe", "optimizer.name"]
    assert (changed.old, changed.new) == ("Adam", "SGD")
    assert found["recipe", "epochs"].old == "-"
    assert found["artifact", "digest"].new == "b" * 12


@pytest.mark.parametrize("text", ["", "x", "5y"])
def test_a_span_that_is_none_is_refused(text):
    with pytest.raises(ValueError, match="convert"):
        seconds_of(text)
