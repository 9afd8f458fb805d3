"""Every epoch has each row once, and every step can be asked for alone."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from modelyard_trainer.order import Order

sizes = st.integers(min_value=1, max_value=60)


@given(rows=sizes, batch=sizes, seed=st.integers(0, 2**31 - 1))
def test_each_epoch_is_a_permutation(rows, batch, seed):
    order = Order(rows, batch, epochs=3, seed=seed)
    for epoch in range(3):
        steps = range(epoch * order.steps_per_epoch, (epoch + 1) * order.steps_per_epoch)
        seen = np.concatenate([order.indices(step) for step in steps])
        assert sorted(seen.tolist()) == list(range(rows))


def test_a_step_does_not_depend_on_what_was_asked_before():
    straight = [Order(50, 8, 4, 7).indices(step).tolist() for step in range(28)]
    backwards = [Order(50, 8, 4, 7).indices(step).tolist() for step in reversed(range(28))]
    assert straight == backwards[::-1]


def test_epochs_and_seeds_differ():
    order = Order(50, 50, 2, 7)
    assert order.indices(0).tolist() != order.indices(1).tolist()
    assert order.indices(0).tolist() != Order(50, 50, 2, 8).indices(0).tolist()


def test_the_last_batch_may_be_smaller():
    order = Order(rows=10, batch_size=4, epochs=2, seed=1)
    assert [len(order.indices(step)) for step in range(order.total_steps)] == [4, 4, 2, 4, 4, 2]
    assert [order.epoch(step) for step in range(7)] == [1, 1, 1, 2, 2, 2, 2]
    assert [done for done in range(1, 7) if order.ends_epoch(done)] == [3, 6]
