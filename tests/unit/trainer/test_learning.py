"""Real training on real digits, in this process: it repeats itself, and stops when it must."""

from threading import Event

import numpy as np
import pytest

from modelyard.api.errors import Refused, Retry
from modelyard.api.recipe import Task
from modelyard.api.store import ModelKeys
from modelyard.store.client import connect
from modelyard.store.fence import raise_fence
from modelyard.store.folder import FolderStore
from modelyard_trainer.attempt import Attempt
from modelyard_trainer.checkpoint import Checkpoints
from modelyard_trainer.dataset import read_dataset
from modelyard_trainer.failures import BadConfiguration, BadData, Diverged, Interrupted
from modelyard_trainer.intake import read_examples
from modelyard_trainer.learner import Learner, make_deterministic
from modelyard_trainer.loop import Loop
from modelyard_trainer.model import build_model, build_optimizer
from modelyard_trainer.order import Order
from modelyard_trainer.outcome import as_failure
from modelyard_trainer.patience import patiently
from modelyard_trainer.progress import Progress
from tests.unit.trainer.making import (
    CNN,
    UID,
    make_config,
    make_csv_source,
    make_recipe,
    make_source,
    write_digits,
    write_npz,
    write_tumours,
)

DIGEST = "sha256:" + "a" * 64
KEYS = ModelKeys("", "team", "digits")
DEMANDING = {
    "architecture": CNN,
    "regularization": {"dropout": "0.3", "l2": "0.0001"},
    "optimizer": {"schedule": "Cosine"},
}


class StopAt:
    """Asks to stop once a number of steps is done, as SIGTERM would."""

    def __init__(self, progress_steps):
        self._asked = 0
        self._steps = progress_steps

    def is_set(self):
        self._asked += 1
        return self._asked > self._steps

    def wait(self, _):
        return False


@pytest.fixture
def digits(tmp_path):
    """Training and evaluation data."""
    paths = write_digits(tmp_path)
    return tuple(
        read_dataset(make_source(name), path, DIGEST, Task.IMAGE_CLASSIFICATION)
        for name, path in paths.items()
    )


@pytest.fixture
def store(tmp_path):
    return connect(make_config(tmp_path / "store").store)


def make_loop(digits, store, folder, recipe, attempt=1, *, stop=None):
    """Return a loop over a new model, as an attempt in a new process would have it."""
    train, evaluation = digits
    make_deterministic(recipe.seed)
    order = Order(train.rows, recipe.batch_size, recipe.epochs, recipe.seed)
    learner = Learner(build_model(recipe, train, 10), build_optimizer(recipe, order.total_steps))
    return Loop(
        learner=learner,
        order=order,
        train=train,
        evaluation=evaluation,
        checkpoints=Checkpoints(store, KEYS, UID, attempt, 2, folder),
        every_steps=10,
        progress=Progress(attempt),
        stop=stop or Event(),
    )


def run(loop):
    """Run a loop to its end; return the state it reached."""
    loop.run(loop.resume())
    return loop.learner.state()


def assert_equal(first, second):
    assert first.keys() == second.keys()
    for name in first:
        assert first[name].tobytes() == second[name].tobytes(), name


def test_a_seed_repeats_the_run_bit_by_bit_and_another_seed_does_not(digits, tmp_path):
    def trained(number, **changes):
        store = connect(make_config(tmp_path / str(number)).store)
        return run(make_loop(digits, store, tmp_path, make_recipe(**DEMANDING | changes)))

    first = trained(1)
    assert_equal(first, trained(2))
    other = trained(3, seed=4)
    assert any(first[name].tobytes() != other[name].tobytes() for name in first)


def test_an_interrupted_run_ends_with_the_same_bits(digits, store, tmp_path):
    recipe = make_recipe(**DEMANDING)
    whole = run(make_loop(digits, connect(make_config(tmp_path / "b").store), tmp_path, recipe))
    for attempt, steps in ((1, 7), (2, 9)):
        loop = make_loop(digits, store, tmp_path, recipe, attempt, stop=StopAt(steps))
        with pytest.raises(Interrupted, match=r"step \d+ of 30\."):
            run(loop)
    last = make_loop(digits, store, tmp_path, recipe, attempt=3)
    assert_equal(run(last), whole)
    assert last.progress.report.resumed_from_step == 16


@pytest.mark.parametrize("damage", ["byte", "other", "cut"])
def test_a_damaged_checkpoint_is_passed_over_for_the_one_before(digits, store, tmp_path, damage):
    recipe = make_recipe(**DEMANDING)
    whole = run(make_loop(digits, connect(make_config(tmp_path / "b").store), tmp_path, recipe))
    with pytest.raises(Interrupted):
        run(make_loop(digits, store, tmp_path, recipe, 1, stop=StopAt(17)))
    spoil(store, damage)
    loop = make_loop(digits, store, tmp_path, recipe, attempt=2)
    assert_equal(run(loop), whole)
    assert loop.progress.report.resumed_from_step == 10


def spoil(store, damage):
    """Damage the newest checkpoint: one byte, its end, or all of it by an older but whole one."""
    folder = f"team/digits/_runs/{UID}/a1/checkpoints/"
    content = bytearray(store.get(folder + "step-17.npz").content)
    match damage:
        case "byte":
            content[len(content) // 2] ^= 1
        case "cut":
            del content[-100:]
        case "other":
            content = store.get(folder + "step-10.npz").content
    store.put(folder + "step-17.npz", bytes(content), if_none_match=False)


def test_an_attempt_that_was_locked_out_saves_nothing(digits, store, tmp_path):
    raise_fence(store, KEYS, UID, 2)
    before = list(store.list_keys(""))
    with pytest.raises(Refused, match="attempt 2 took over") as refused:
        run(make_loop(digits, store, tmp_path, make_recipe()))
    assert as_failure(refused.value).exit_code == 75
    assert list(store.list_keys("")) == before


class AwayStore(FolderStore):
    """A store that loses the connection during each upload."""

    def upload_file(self, key, path, sha256):
        raise Retry("the store did not answer")


def test_a_store_that_is_away_does_not_stop_the_training(digits, store, tmp_path):
    expected = run(make_loop(digits, store, tmp_path, make_recipe()))
    loop = make_loop(digits, AwayStore(tmp_path / "away", "local"), tmp_path, make_recipe())
    assert_equal(run(loop), expected)
    assert loop.progress.report.checkpoint_step is None


def test_what_may_succeed_later_is_tried_again_until_asked_to_stop():
    answers = iter([Retry("no"), Retry("no"), 7])

    def call():
        answer = next(answers)
        if isinstance(answer, Exception):
            raise answer
        return answer

    assert patiently(call, Event(), delays=(0, 0, 0)) == 7
    stop = Event()
    stop.set()
    answers = iter([Retry("no"), 7])
    with pytest.raises(Interrupted, match="waiting: no"):
        patiently(call, stop)
    answers = iter([Retry("no"), Retry("still no")])
    with pytest.raises(Retry, match="still no"):
        patiently(call, Event(), delays=(0,))


def test_penalties_are_part_of_what_is_learnt(digits, store, tmp_path):
    def norm(l2):
        recipe = make_recipe(
            regularization={"l2": l2}, optimizer={"name": "SGD", "learningRate": "0.05"}
        )
        loop = make_loop(digits, connect(make_config(tmp_path / l2).store), tmp_path, recipe)
        run(loop)
        kernels = [v.numpy() for v in loop.learner.model.trainable_variables if v.name == "kernel"]
        return sum((kernel**2).sum() for kernel in kernels)

    assert norm("1") < norm("0") / 2


def test_dropout_drops_while_training_only(digits, store, tmp_path):
    def twice(dropout):
        recipe = make_recipe(
            regularization={"dropout": dropout},
            optimizer={"name": "SGD", "learningRate": "1e-30"},
        )
        learner = make_loop(digits, store, tmp_path, recipe).learner
        rows, labels = digits[0].features[:32], digits[0].labels[:32]
        losses = [float(learner.train(rows, labels)) for _ in range(2)]
        answers = [learner.probabilities(rows) for _ in range(2)]
        return losses, np.array_equal(*answers)

    (first, second), same = twice("0.5")
    assert first != second
    assert same
    (first, second), _ = twice("0")
    assert first == second


def test_arrays_without_a_record_do_not_count(digits, store, tmp_path):
    recipe = make_recipe()
    with pytest.raises(Interrupted):
        run(make_loop(digits, store, tmp_path, recipe, 1, stop=StopAt(17)))
    store.delete(f"team/digits/_runs/{UID}/a1/checkpoints/step-17.json")
    loop = make_loop(digits, store, tmp_path, recipe, attempt=2)
    assert loop.resume() == 10


def test_a_checkpoint_of_another_network_is_passed_over(digits, store, tmp_path):
    run(make_loop(digits, store, tmp_path, make_recipe()))
    loop = make_loop(digits, store, tmp_path, make_recipe(**DEMANDING), attempt=2)
    assert loop.resume() == 0


def test_later_attempts_are_not_looked_at(digits, store, tmp_path):
    run(make_loop(digits, store, tmp_path, make_recipe(), attempt=2))
    assert make_loop(digits, store, tmp_path, make_recipe(), attempt=1).resume() == 0


def test_only_the_newest_checkpoints_of_the_whole_training_are_kept(digits, store, tmp_path):
    recipe = make_recipe()
    with pytest.raises(Interrupted):
        run(make_loop(digits, store, tmp_path, recipe, 1, stop=StopAt(12)))
    run(make_loop(digits, store, tmp_path, recipe, attempt=2))
    prefix = f"team/digits/_runs/{UID}/"
    kept = {key.removeprefix(prefix) for key in store.list_keys(prefix)}
    assert kept == {
        f"a2/checkpoints/step-{step}.{kind}" for step in (20, 30) for kind in ("json", "npz")
    }


def test_a_finished_run_is_not_trained_again(digits, store, tmp_path):
    first = run(make_loop(digits, store, tmp_path, make_recipe()))
    again = make_loop(digits, store, tmp_path, make_recipe(), attempt=2)
    assert again.resume() == again.order.total_steps
    assert_equal(run(again), first)


def test_a_checkpoint_remembers_the_metrics(digits, store, tmp_path):
    with pytest.raises(Interrupted):
        run(make_loop(digits, store, tmp_path, make_recipe(), 1, stop=StopAt(17)))
    loop = make_loop(digits, store, tmp_path, make_recipe(), attempt=2)
    loop.resume()
    assert {m.name for m in loop.progress.report.metrics} == {"loss", "val_loss", "val_accuracy"}


def test_a_loss_that_is_no_number_ends_the_run_without_a_checkpoint_of_it(digits, store, tmp_path):
    recipe = make_recipe(optimizer={"name": "SGD", "learningRate": "1e30"})
    with pytest.raises(Diverged, match=r"The loss of step \d is (nan|inf)\.") as refused:
        run(make_loop(digits, store, tmp_path, recipe))
    assert "learningRate" in refused.value.hint
    assert not list(store.list_keys(""))


def test_partial_batches_do_not_trace_again(digits, store, tmp_path):
    loop = make_loop(digits, store, tmp_path, make_recipe(batchSize=64))
    run(loop)
    assert loop.train.rows % 64
    assert loop.learner._step.experimental_get_tracing_count() == 1


def test_fields_of_the_recipe_change_the_run(digits, store, tmp_path):
    def rate(step, **optimizer):
        loop = make_loop(digits, store, tmp_path, make_recipe(optimizer=optimizer))
        optimizer = loop.learner._optimizer
        optimizer.iterations.assign(step)
        return type(optimizer).__name__, float(optimizer.learning_rate)

    assert rate(0, name="AdamW") == ("AdamW", pytest.approx(0.001))
    assert rate(15, schedule="Cosine") == ("Adam", pytest.approx(0.0005))
    assert rate(30, schedule="Cosine") == ("Adam", pytest.approx(0, abs=1e-9))
    plain = make_loop(digits, store, tmp_path, make_recipe()).learner
    heavy = make_loop(digits, store, tmp_path, make_recipe(regularization={"l2": "1"})).learner
    assert plain.penalty() == 0
    kernels = [v.numpy() for v in heavy.model.trainable_variables if v.name == "kernel"]
    assert heavy.penalty() == pytest.approx(sum((k**2).sum() for k in kernels), rel=1e-5)


@pytest.mark.parametrize(
    ("activation", "name"), [("ReLU", "relu"), ("GELU", "gelu"), ("Tanh", "tanh")]
)
def test_each_activation_is_in_the_network(digits, activation, name):
    recipe = make_recipe(architecture=CNN | {"activation": activation})
    model = build_model(recipe, digits[0], 10)
    used = {layer.activation.__name__ for layer in model.layers if hasattr(layer, "activation")}
    assert used == {name, "linear"}


def test_pooling_may_not_eat_the_image(digits):
    convolutions = [{"filters": 2, "poolSize": 4}, {"filters": 2, "poolSize": 4}]
    recipe = make_recipe(architecture=CNN | {"convolutions": convolutions})
    with pytest.raises(BadConfiguration, match=r"convolutions\[1\].poolSize is 4, but only 2x2"):
        build_model(recipe, digits[0], 10)


def test_a_convolution_without_padding_may_not_eat_the_image_either(digits):
    convolutions = [{"filters": 2, "poolSize": 4}, {"filters": 2, "padding": "Valid"}]
    recipe = make_recipe(architecture=CNN | {"convolutions": convolutions})
    with pytest.raises(BadConfiguration, match=r"convolutions\[1\].kernelSize is 3, but only 2x2"):
        build_model(recipe, digits[0], 10)


def test_scaling_is_inside_the_model(digits, tmp_path):
    images = build_model(make_recipe(), digits[0], 10).get_layer("scaling")
    assert float(np.max(images(digits[0].features))) == 1
    source = make_csv_source()
    table = read_dataset(
        source, write_tumours(tmp_path / "a.csv"), DIGEST, Task.TABULAR_CLASSIFICATION
    )
    layer = build_model(make_recipe(task="TabularClassification"), table, 2).get_layer("scaling")
    scaled = np.array(layer(table.features))
    assert scaled.mean(axis=0) == pytest.approx([0, 0], abs=1e-4)
    assert scaled.std(axis=0) == pytest.approx([1, 1], abs=1e-3)


def make_attempt(folder, files, **changes):
    config = make_config(folder / "store", **changes)
    scratch = folder / "scratch"
    scratch.mkdir()
    return Attempt(
        config=config,
        store=connect(config.store),
        examples=read_examples(config, lambda source: (files[source.name], DIGEST)),
        progress=Progress(config.attempt),
        stop=Event(),
        scratch=scratch,
    )


def test_a_table_becomes_a_version(tmp_path):
    path = write_tumours(tmp_path / "a.csv")
    attempt = make_attempt(
        tmp_path,
        {"train": path, "eval": path},
        recipe=make_recipe(task="TabularClassification", epochs=5),
        data=(make_csv_source(), make_csv_source("eval")),
    )
    outcome = attempt.run()
    assert outcome.published.version == 1
    assert outcome.evaluation.overall["accuracy"] > 0.85
    assert outcome.evaluation.overall["roc_auc"] > 0.9


def test_evaluation_images_of_another_size_are_refused(tmp_path):
    files = write_digits(tmp_path)
    write_npz(files["eval"], np.zeros((4, 5, 5)), np.zeros(4))
    with pytest.raises(BadData, match=r"eval.npz: one row of 'image' has shape \(5, 5\)"):
        make_attempt(tmp_path, files).run()


def test_evaluation_classes_must_be_known(tmp_path):
    files = write_digits(tmp_path)
    write_npz(files["eval"], np.zeros((2, 8, 8)), np.array([3, 10]))
    with pytest.raises(BadData, match=r"eval.npz: row 1, 'label': 10 is no class of the training"):
        make_attempt(tmp_path, files).run()
