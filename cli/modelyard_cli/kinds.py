"""The kinds that commands speak of, how people write them, and where the API server keeps them."""

from dataclasses import dataclass
from urllib.parse import quote

from modelyard.api.names import API_VERSION
from modelyard.api.rules import DEPLOYMENT, KINDS, MODEL_VERSION, TRAINING, Kind
from modelyard_cli.connection import Api, Raw, Refusal
from modelyard_cli.exits import Exit, Stop

__all__ = ["DEPLOYMENT", "KINDS", "MODEL_VERSION", "TRAINING", "Kind"]

JOBS = "/apis/batch/v1/jobs"
PODS = "/api/v1/pods"
WORKLOADS = "/apis/apps/v1/deployments"
SERVICES = "/api/v1/services"
EVENTS = "/api/v1/events"

SHORT_WORDS = {"training": TRAINING, "version": MODEL_VERSION, "deployment": DEPLOYMENT}
"""How commands call the kinds."""


def word_of(kind: Kind) -> str:
    """Return how commands call a kind."""
    return next(word for word, found in SHORT_WORDS.items() if found is kind)


def kind_of(word: str) -> Kind:
    """Return the kind that a word names, in any form that kubectl or we accept.

    >>> kind_of("mdep").name, kind_of("trainings").name, kind_of("modelversion").name
    ('ModelDeployment', 'ModelTraining', 'ModelVersion')

    Raises:
        Stop: no kind is called so.
    """
    asked = word.lower().removesuffix("." + API_VERSION.split("/")[0])
    for short, kind in SHORT_WORDS.items():
        if asked in {short, short + "s", kind.name.lower(), kind.plural, kind.short_name}:
            return kind
    known = ", ".join(SHORT_WORDS)
    raise Stop(Exit.USAGE, f"there is no kind {word!r}", f"name one of: {known}")


def place(collection: str, namespace: str = "", name: str = "", part: str = "") -> str:
    """Return the path of a collection, an object, or a part of one.

    >>> place(PODS, "team", "web-0", "log")
    '/api/v1/namespaces/team/pods/web-0/log'
    """
    root, _, plural = collection.rpartition("/")
    middle = ["namespaces", quote(namespace)] if namespace else []
    return "/".join([root, *middle, plural, *filter(None, (quote(name, safe=":"), part))])


def path_of(kind: Kind, namespace: str = "", name: str = "") -> str:
    """Return the path of a collection or an object of ours."""
    return place(f"/apis/{API_VERSION}/{kind.plural}", namespace, name)


@dataclass(frozen=True, slots=True)
class Subject:
    """The object that a command is about."""

    kind: Kind
    name: str
    raw: Raw

    @property
    def uid(self) -> str:
        """Its uid."""
        return str(self.raw["metadata"]["uid"])

    def __str__(self) -> str:
        return f"{word_of(self.kind)}/{self.name}"


async def fetch(api: Api, kind: Kind, name: str) -> Subject:
    """Return an object of the namespace.

    Raises:
        Stop: there is none.
    """
    try:
        return Subject(kind, name, await api.get(path_of(kind, api.namespace, name)))
    except Refusal as refusal:
        if not refusal.missing:
            raise
        raise _absent(api, f"{word_of(kind)} {name}", word_of(kind)) from None


async def find(api: Api, words: list[str], only: Kind | None = None) -> Subject:
    """Return the object that `NAME`, `TYPE/NAME` or `TYPE NAME` speaks of.

    A bare name must be that of one object only, unless the command is about one kind anyway.

    Raises:
        Stop: there is none, there are several, or another kind is meant.
    """
    word, name = _split(words)
    kind = kind_of(word) if word else only
    if only is not None and kind is not only:
        raise Stop(
            Exit.USAGE, f"this is about a {word_of(only)}, not a {word}", f"name a {word_of(only)}"
        )
    if kind is not None:
        return await fetch(api, kind, name)
    found = [subject for k in KINDS if (subject := await _attempt(api, k, name)) is not None]
    if len(found) == 1:
        return found[0]
    if found:
        text = f"several objects are called {name}"
        raise Stop(Exit.USAGE, text, "say which: " + ", ".join(map(str, found)))
    raise _absent(api, f"training, version or deployment {name}", "")


def _split(words: list[str]) -> tuple[str, str]:
    """Split `TYPE/NAME` and `TYPE NAME`; the type may be missing."""
    match "/".join(words).split("/"):
        case [name] if name:
            return "", name
        case [word, name] if word and name:
            return word, name
    raise Stop(Exit.USAGE, f"{' '.join(words)!r} names no object", "write TYPE/NAME, or NAME")


async def _attempt(api: Api, kind: Kind, name: str) -> Subject | None:
    try:
        return Subject(kind, name, await api.get(path_of(kind, api.namespace, name)))
    except Refusal as refusal:
        if refusal.missing:
            return None
        raise


def _absent(api: Api, what: str, word: str) -> Stop:
    text = f"there is no {what} in namespace {api.namespace}"
    return Stop(Exit.NOT_FOUND, text, f"kubectl modelyard list {word}s -A" if word else "")
