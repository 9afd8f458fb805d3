"""The serving pod's own side: fetch a version before the server starts, then judge the server.

`python -m modelyard.sentinel fetch` is the pod's first init container and the only one that speaks
to the store; `python -m modelyard.sentinel serve` is a native sidecar whose readiness is the pod's.
"""
