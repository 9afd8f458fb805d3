"""The two programs of a serving pod: `fetch` and `serve`."""

import argparse
import logging
import os
import sys
from pathlib import Path

from pydantic import ValidationError

from modelyard.api.names import PORT_REST, PORT_SENTINEL
from modelyard.api.run import ExitCode
from modelyard.api.serve import MODELS_DIRECTORY, SERVE_VARIABLE, ServeConfig
from modelyard.sentinel.errors import Stopped


def main(arguments: list[str] | None = None) -> int:
    """Run one of the two programs; return its exit code.

    Whatever ends a program leaves one line on stderr: with `FallbackToLogsOnError` it becomes the
    container's termination message.
    """
    options = _parser().parse_args(arguments)
    logging.basicConfig(level=logging.INFO, format="%(levelname)s %(name)s %(message)s")
    try:
        _run(options, read_config(os.environ.get(SERVE_VARIABLE)))
    except Stopped as stop:
        print(f"{options.program}: {stop}", file=sys.stderr)
        return stop.exit_code
    return ExitCode.DONE


def read_config(text: str | None) -> ServeConfig:
    """Parse the serving contract.

    Raises:
        Stopped: It is absent or not valid.
    """
    if not text:
        raise Stopped(
            ExitCode.BAD_CONFIGURATION,
            f"{SERVE_VARIABLE} is not set; the operator sets it in every serving pod",
        )
    try:
        return ServeConfig.model_validate_json(text)
    except ValidationError as error:
        faults = "; ".join(
            f"{'.'.join(map(str, e['loc'])) or 'the JSON'}: {e['msg']}" for e in error.errors()
        )
        raise Stopped(
            ExitCode.BAD_CONFIGURATION, f"{SERVE_VARIABLE} is not valid: {faults}"
        ) from error


def _run(options: argparse.Namespace, config: ServeConfig) -> None:
    """Start a program; each imports only what it needs: the sidecar's memory counts per pod."""
    if options.program == "fetch":
        from modelyard.sentinel.fetch import fetch  # noqa: PLC0415

        fetch(config, options.models)
    else:
        from modelyard.sentinel.serve import serve  # noqa: PLC0415

        serve(config, options.models, server=options.server, port=options.port)


def _parser() -> argparse.ArgumentParser:
    """Describe the command line."""
    parser = argparse.ArgumentParser(prog="modelyard.sentinel", description=__doc__)
    parser.add_argument(
        "--models",
        type=Path,
        default=Path(MODELS_DIRECTORY),
        help="directory that is shared with the model server (default: %(default)s)",
    )
    programs = parser.add_subparsers(dest="program", required=True)
    programs.add_parser("fetch", help="fetch and verify the version, then exit")
    serve = programs.add_parser("serve", help="judge, drain, and measure the model server")
    serve.add_argument("--port", type=int, default=PORT_SENTINEL, help="default: %(default)s")
    serve.add_argument(
        "--server",
        default=f"http://127.0.0.1:{PORT_REST}",
        help="REST address of the model server (default: %(default)s)",
    )
    return parser


if __name__ == "__main__":
    sys.exit(main())
