"""Turns botocore's failures into the project's three kinds, with place and remedy."""

from collections.abc import Iterator
from contextlib import contextmanager

from botocore import exceptions as aws

from modelyard.api.errors import Broken, Refused, Retry
from modelyard.api.reasons import Reason
from modelyard.store.interface import Conflict, Damaged, Missing

MISSING = frozenset({"404", "NoSuchKey", "NotFound"})
CONFLICT = frozenset({"412", "PreconditionFailed"})
DENIED = frozenset({"401", "403", "AccessDenied", "Forbidden", "AllAccessDisabled"})
WRONG_KEYS = frozenset(
    {"InvalidAccessKeyId", "SignatureDoesNotMatch", "ExpiredToken", "InvalidToken"}
)
DAMAGED = frozenset({"BadDigest", "InvalidDigest", "XAmzContentChecksumMismatch"})
BUSY = frozenset({"SlowDown", "RequestTimeout", "TooManyRequests", "429", "Throttling"})
# The store saw two writes at once and asks for another try (AWS, conditional requests).
COLLIDED = frozenset({"ConditionalRequestConflict", "OperationAborted"})
SERVER_ERROR = 500
NOT_IMPLEMENTED = 501


@contextmanager
def translated(place: str, endpoint: str) -> Iterator[None]:
    """Raise what botocore raised as Missing, Conflict, Retry, Refused or Broken."""
    try:
        yield
    except aws.ClientError as error:
        raise _answer(error, f"{place} at {endpoint}") from error
    except aws.BotoCoreError as error:
        raise _unanswered(error, place, endpoint) from error


def _answer(error: aws.ClientError, place: str) -> Exception:
    code = str(error.response.get("Error", {}).get("Code", ""))
    status = int(error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0))
    if code in MISSING:
        return Missing(f"{place} does not exist")
    if code in CONFLICT:
        return Conflict(f"{place}: the condition of the write does not hold")
    if code in DAMAGED:
        return Damaged(f"{place}: the content was damaged on its way to the store ({code})")
    busy = code in BUSY | COLLIDED or (status >= SERVER_ERROR and status != NOT_IMPLEMENTED)
    if busy:
        return Retry(f"{place}: the store asks to try again later (HTTP {status}, {code})")
    return _refusal(code, status, place)


def _refusal(code: str, status: int, place: str) -> Refused:
    answer = f"(HTTP {status}, {code})"
    if code == "NoSuchBucket":
        message = f"{place}: there is no such bucket {answer}; create it or correct its name"
        return Refused(Reason.STORE_NOT_FOUND, message)
    if code in WRONG_KEYS:
        message = f"{place}: the store rejects the credentials {answer}; correct the store's Secret"
        return Refused(Reason.FORBIDDEN, message)
    if code in DENIED:
        message = f"{place}: access denied {answer}; give this identity access to the key"
        return Refused(Reason.FORBIDDEN, message)
    message = f"{place}: the store refuses the request {answer}; see the store's documentation"
    return Refused(Reason.STORE_UNREACHABLE, message)


def _unanswered(error: aws.BotoCoreError, place: str, endpoint: str) -> Exception:
    match error:
        case (
            aws.NoCredentialsError()
            | aws.PartialCredentialsError()
            | aws.CredentialRetrievalError()
        ):
            message = f"no credentials for {endpoint}: create the store's Secret ({error})"
            return Refused(Reason.SECRET_NOT_FOUND, message)
        case aws.SSLError():
            message = f"{endpoint} does not prove its identity: set the store's caFile ({error})"
            return Refused(Reason.STORE_UNREACHABLE, message)
        case aws.ParamValidationError():
            return Broken(f"wrong request for {place}: {error}")
        case _:
            message = f"{endpoint} did not answer for {place}: {error}; check that it runs"
            return Retry(message)
