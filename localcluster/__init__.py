"""A real Kubernetes on one Linux machine, built from pinned Go modules.

`python -m localcluster --help` lists the commands; `localcluster.envtest` starts an API server
alone, for tests that need neither root nor containers. This package knows nothing of Modelyard.
"""
