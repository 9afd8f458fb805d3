"""What a valid spec may still not do here: name a store nobody configured, read foreign data."""

from modelyard.api.reasons import ConditionType, Reason
from modelyard.api.store import StoreSettings
from modelyard.api.training import ModelTraining
from modelyard.plan.conditions import Judgement, no


def store_missing(name: str) -> str:
    """Say that the operator knows no store of that name, and what to do."""
    return (
        f"The operator's configuration has no store named {name}. Ask the administrator to add "
        "it to `stores`, or name another store."
    )


def no_store(training: ModelTraining) -> Judgement:
    """Judge a training whose store the operator does not know."""
    text = store_missing(training.spec.store_name)
    return no(ConditionType.ACCEPTED, Reason.STORE_NOT_FOUND, text)


def refusal_of(training: ModelTraining, store: StoreSettings) -> Judgement | None:
    """Return why the training is not accepted, or None if it is."""
    namespace = training.metadata.namespace
    for source in training.spec.data:
        if not store.allows_data(source.uri, namespace):
            text = _not_allowed(source.name, source.uri, store)
            return no(ConditionType.ACCEPTED, Reason.DATA_NOT_ALLOWED, text)
    return None


def _not_allowed(name: str, uri: str, store: StoreSettings) -> str:
    own = f"s3://{store.bucket}/{store.prefix}<namespace>/"
    return (
        f"Data set {name}: {uri} may not be read from this namespace. Move the file below {own}, "
        f"or ask the administrator to add its prefix to readPrefixes of store {store.name}."
    )
