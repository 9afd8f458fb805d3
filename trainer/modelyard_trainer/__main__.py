"""`python -m modelyard_trainer` in a pod, `modelyard-trainer run FILE` on a laptop."""

import os
import sys

from modelyard.api.run import RUN_VARIABLE


def main() -> None:
    """Run as a pod when there are no arguments, else as the command line says."""
    # Before TensorFlow is imported: the same kernels on every processor type, or the seed's promise
    # of bit-equal runs would hold on one machine only.
    os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "0")
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    if len(sys.argv) > 1 or (RUN_VARIABLE not in os.environ and sys.stdin.isatty()):
        from modelyard_trainer.laptop import app  # noqa: PLC0415 - a pod needs no command line

        app(prog_name="modelyard-trainer")
    else:
        from modelyard_trainer.pod import run_in_pod  # noqa: PLC0415 - the variables come first

        sys.exit(run_in_pod())


if __name__ == "__main__":
    main()
