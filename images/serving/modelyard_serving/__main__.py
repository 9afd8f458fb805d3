"""`tensorflow_model_server`, or `python -m modelyard_serving`."""

import asyncio
import logging
import os
import sys
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path

from modelyard_serving.errors import LoadError, StartupError, UsageError
from modelyard_serving.flags import Flags, parse, usage
from modelyard_serving.versions import newest_version


def main(arguments: Sequence[str] | None = None) -> int:
    """Serve as the command line says; return the exit code.

    0 after SIGTERM, 1 when the server cannot start: the last line of stderr then says why.
    """
    try:
        flags = parse(sys.argv[1:] if arguments is None else arguments)
        if flags.version:
            print(_versions())
            return 0
        flags.check()
        _serve(flags)
    except UsageError as error:
        print(usage(), file=sys.stderr)
        return _failed(error)
    except StartupError as error:
        return _failed(error)
    return 0


def _serve(flags: Flags) -> None:
    logging.basicConfig(
        level=logging.INFO, format="%(asctime)s %(levelname).1s %(name)s] %(message)s"
    )
    try:
        newest_version(Path(flags.model_base_path))
    except LoadError as error:
        raise StartupError(str(error)) from error
    # Before the import: TensorFlow reads them once. Its own notes say nothing about this server,
    # and a graph needs no Keras, which takes a quarter of the import's time.
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    os.environ["TF_USE_LEGACY_KERAS"] = "1"
    from modelyard_serving.server import serve  # noqa: PLC0415 - four seconds that --help can save

    logging.getLogger("tensorflow").setLevel(logging.ERROR)
    asyncio.run(serve(flags))


def _failed(error: StartupError) -> int:
    text = " ".join(str(error).split())
    print(f"Failed to start server. Error: {text}", file=sys.stderr, flush=True)
    return 1


def _versions() -> str:
    ours = version("tensorflow-serving-api")
    library = version("tensorflow-cpu")
    return f"TensorFlow ModelServer: {ours} (modelyard stand-in)\nTensorFlow Library: {library}"


if __name__ == "__main__":
    sys.exit(main())
