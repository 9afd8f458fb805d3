"""What can go wrong, as a canonical status code that gRPC and REST both translate."""

from types import MappingProxyType

from grpc import StatusCode

HTTP_STATUS = MappingProxyType(
    {
        StatusCode.OK: 200,
        StatusCode.INVALID_ARGUMENT: 400,
        StatusCode.FAILED_PRECONDITION: 400,
        StatusCode.OUT_OF_RANGE: 400,
        StatusCode.UNAUTHENTICATED: 401,
        StatusCode.PERMISSION_DENIED: 403,
        StatusCode.NOT_FOUND: 404,
        StatusCode.ALREADY_EXISTS: 409,
        StatusCode.ABORTED: 409,
        StatusCode.RESOURCE_EXHAUSTED: 429,
        StatusCode.CANCELLED: 499,
        StatusCode.UNKNOWN: 500,
        StatusCode.INTERNAL: 500,
        StatusCode.DATA_LOSS: 500,
        StatusCode.UNIMPLEMENTED: 501,
        StatusCode.UNAVAILABLE: 503,
        StatusCode.DEADLINE_EXCEEDED: 504,
    }
)
"""The original's map from status code to HTTP status (its http_server.cc)."""

_BY_NUMBER = MappingProxyType({code.value[0]: code for code in StatusCode})


class StartupError(Exception):
    """The server cannot start; the message is the last line it writes."""


class UsageError(StartupError):
    """The command line is wrong; the usage text helps."""


class LoadError(Exception):
    """A version of the model cannot be loaded."""


class RequestError(Exception):
    """A request cannot be answered."""

    def __init__(self, code: StatusCode, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.message = message


def invalid(message: str) -> RequestError:
    """Return the error of a caller who must change the request."""
    return RequestError(StatusCode.INVALID_ARGUMENT, message)


def failed_precondition(message: str) -> RequestError:
    """Return the error of a request that this model cannot serve."""
    return RequestError(StatusCode.FAILED_PRECONDITION, message)


def not_found(message: str) -> RequestError:
    """Return the error of a request for a model or version that is not served."""
    return RequestError(StatusCode.NOT_FOUND, message)


def unimplemented(message: str) -> RequestError:
    """Return the error of a request for something this server does not do."""
    return RequestError(StatusCode.UNIMPLEMENTED, message)


def of_tensorflow(number: int, message: str) -> RequestError:
    """Return the error that TensorFlow reports under its own number for the same codes."""
    return RequestError(_BY_NUMBER.get(number, StatusCode.UNKNOWN), message)
