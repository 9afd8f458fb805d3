"""The operator's entry: `python -m modelyard`."""

import asyncio
import json
import logging
import sys
from datetime import UTC, datetime

from modelyard.api.errors import Broken
from modelyard.handlers.config import load_config
from modelyard.handlers.startup import run_operator


class JsonLines(logging.Formatter):
    """One JSON object per line: time, level, logger, message, object, traceback."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the record as one line."""
        entry = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        place = getattr(record, "object", None)
        if place:
            entry["object"] = str(place)
        if record.exc_info:
            entry["traceback"] = self.formatException(record.exc_info)
        return json.dumps(entry)


def _set_up_logging() -> None:
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonLines())
    logging.basicConfig(level=logging.INFO, handlers=[handler], force=True)
    logging.getLogger("kopf").setLevel(logging.WARNING)


def main() -> int:
    """Run the operator until it is told to stop; return the exit code."""
    _set_up_logging()
    try:
        return asyncio.run(run_operator(load_config()))
    except Broken as broken:
        logging.getLogger("modelyard").error("%s", broken)
        return 2


if __name__ == "__main__":
    sys.exit(main())
