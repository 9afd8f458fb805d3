"""From the models to files: CRDs, the chart's copy and values schema, the API reference.

Run `python -m modelyard.codegen` to write them, with `--check` to fail on a difference. Build-time
only: nothing of the running product imports it.
"""
