"""The command line of the laptop mode, with the example that the documentation shows."""

import os
import pty
import re
import signal
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import pytest
import yaml

from tests.unit.trainer.making import write_digits

ROOT = Path(__file__).parents[3]
EXAMPLE = ROOT / "examples" / "local-run.yaml"


@pytest.fixture
def example(tmp_path):
    """Write the example with changes to its spec; return the file."""

    def write(change=lambda spec: None):
        training = yaml.safe_load(EXAMPLE.read_text())
        training["spec"]["recipe"]["epochs"] = 2
        change(training["spec"])
        path = tmp_path / "training.yaml"
        path.write_text(yaml.safe_dump(training))
        return path

    return write


def command(file, *options):
    return [sys.executable, "-m", "modelyard_trainer", "run", str(file), *options]


def environment(folder):
    return {
        "PATH": os.defpath,
        "HOME": str(folder),
        "COLUMNS": "120",
        "TERM": "xterm",
        "PYTHONPATH": f"{ROOT / 'operator'}:{ROOT / 'trainer'}",
    }


def run(file, folder, *options):
    """Run the command in `folder`; return its exit code and everything it said."""
    done = subprocess.run(
        command(file, *options),
        cwd=folder,
        env=environment(folder),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    return done.returncode, done.stdout


def local(folder):
    """Return the options that put local digits in place of the data sets."""
    files = write_digits(folder, rows=1200)
    return [option for name, path in files.items() for option in ("--data", f"{name}={path}")]


def test_a_model_that_passes_is_stored(example, tmp_path):
    def lower(spec):
        spec["evaluation"]["gates"][0]["value"] = "0.5"

    code, said = run(example(lower), tmp_path, *local(tmp_path), "--output", "store")
    assert code == 0, said
    assert "Version 1 passed its gates" in said
    assert re.search(r"floor .* 0\.\d+ .*>=.* 0\.5 .*Passed", said)
    assert (tmp_path / "store/local/local/digits/1/saved_model.pb").is_file()


def test_a_model_that_a_gate_refuses_exits_with_3(example, tmp_path):
    def raise_gate(spec):
        spec["evaluation"]["gates"][0]["value"] = "1.1"

    code, said = run(example(raise_gate), tmp_path, *local(tmp_path))
    assert code == 3, said
    assert re.search(r"floor .* 0\.\d+ .*>=.* 1\.1 .*Failed", said)
    assert "was refused by a gate" in said


def test_a_digest_that_differs_exits_with_65(example, tmp_path):
    def pin(spec):
        spec["data"][0]["digest"] = "sha256:" + "0" * 64

    code, said = run(example(pin), tmp_path, *local(tmp_path))
    assert code == 65
    assert "data[train] wants sha256:0000" in said


def stopped(file, folder, *options, from_epoch=0):
    """Run before a terminal, with Ctrl-C once the bar shows an epoch; return code, text, epochs."""
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        command(file, *options), cwd=folder, env=environment(folder), stdout=theirs, stderr=theirs
    )
    os.close(theirs)
    said, epochs = "", []
    with open(ours, "rb", buffering=0) as terminal, suppress(OSError):  # EIO: nobody writes
        while piece := terminal.read(4096):
            said += piece.decode(errors="replace")
            shown = re.findall(r"Training epoch (\d+)/5000", said)
            before, epochs = epochs, list(map(int, shown))
            if max(epochs, default=0) > from_epoch >= max(before, default=0):
                process.send_signal(signal.SIGINT)
    return process.wait(), said, epochs


def test_a_run_shows_a_bar_and_goes_on_where_ctrl_c_stopped_it(example, tmp_path):
    def lengthen(spec):
        spec["recipe"].update(architecture={"name": "MLP", "denseUnits": [16]}, epochs=5000)

    file, data = example(lengthen), local(tmp_path)
    code, said, epochs = stopped(file, tmp_path, *data, from_epoch=20)
    assert code == 75, said
    assert re.search(r"epoch \d+/5000 .*\d+/145000.*loss \d\S+ .*val_accuracy 0\.\d+", said)
    (uid,) = re.findall(r"Continue with: --resume (\w+)", said)
    assert f"Run {uid}" in said

    code, said, later = stopped(file, tmp_path, *data, "--resume", uid)
    assert code == 75, said
    assert next(epoch for epoch in later if epoch) >= max(epochs)


def test_a_run_that_never_was_cannot_be_resumed(example, tmp_path):
    code, said = run(example(), tmp_path, *local(tmp_path), "--resume", "abc")
    assert code == 2
    assert "--resume abc: no such run" in said


def test_a_recipe_that_cannot_be_built_exits_with_64(example, tmp_path):
    def empty(spec):
        spec["recipe"]["architecture"]["convolutions"] = []

    code, said = run(example(empty), tmp_path, *local(tmp_path))
    assert code == 64
    assert "convolutions is empty" in said


def test_a_file_of_another_kind_is_told_apart(tmp_path):
    for content, words in (
        ("kind: ModelDeployment", "its kind is ModelDeployment"),
        ("x", "no kind"),
    ):
        file = tmp_path / "other.yaml"
        file.write_text(content)
        code, said = run(file, tmp_path)
        assert code == 64
        assert words in said
        assert "kind: ModelTraining" in said


def test_bad_data_is_told_with_the_file_that_was_read(example, tmp_path):
    (tmp_path / "notes.txt").write_text("no arrays")
    data = ["--data", "train=notes.txt", "--data", "eval=notes.txt"]
    code, said = run(example(), tmp_path, *data)
    assert code == 65
    assert "notes.txt is read as s3://modelyard/datasets/digits/train.npz" in said
    assert "train.npz: the file cannot be read as Npz" in said


def test_an_unknown_field_is_named(example, tmp_path):
    code, said = run(example(lambda spec: spec.update(colour="red")), tmp_path, *local(tmp_path))
    assert code == 64
    assert "spec.colour" in said


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ([], "Give --data train=PATH"),
        (["--data", "train=absent.npz"], "train=absent.npz"),
        (["--data", "test=absent.npz"], "test=absent.npz"),
    ],
)
def test_data_that_is_not_given_is_asked_for(example, tmp_path, options, words):
    code, said = run(example(), tmp_path, *options)
    assert code == 2
    assert words in said
