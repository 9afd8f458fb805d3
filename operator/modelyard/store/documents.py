"""The small JSON objects of the registry: written once, or changed only by compare and swap."""

from typing import TypeVar

from pydantic import ValidationError

from modelyard.api.errors import Refused
from modelyard.api.manifest import canonical_json
from modelyard.api.meta import Model
from modelyard.api.reasons import Reason
from modelyard.store.interface import Conflict, Store

Document = TypeVar("Document", bound=Model)


def encode(document: Model) -> bytes:
    """Return the document's canonical JSON."""
    return canonical_json(document.dump())


def decode(kind: type[Document], content: bytes, place: str) -> Document:
    """Return the document in `content`.

    Raises:
        Refused: It is not one; `place` says where it lies.
    """
    try:
        return kind.model_validate_json(content)
    except ValidationError as error:
        problem = error.errors(include_url=False, include_input=False)[0]
        where = ".".join(str(part) for part in problem["loc"]) or "document"
        message = (
            f"{place} is not a readable {kind.__name__} ({where}: {problem['msg']}): "
            "it was changed by hand or written by a newer version"
        )
        raise Refused(Reason.DIGEST_MISMATCH, message) from error


def create(store: Store, key: str, document: Model) -> bool:
    """Write a document where nothing lies; tell whether it stands there now.

    The answer to a first try may be lost and the client's own second try refused, so an equal
    document that already lies there counts as written.
    """
    content = encode(document)
    try:
        store.put(key, content)
    except Conflict:
        return store.get(key).content == content
    return True


def swap(store: Store, key: str, document: Model, etag: str) -> bool:
    """Write a document over the one with `etag`; tell whether it stands there now."""
    content = encode(document)
    try:
        store.put(key, content, if_match=etag)
    except Conflict:
        return store.get(key).content == content
    return True
