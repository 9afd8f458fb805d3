"""The types of Modelyard: everything that users, the operator, trainers and servers agree on.

Pure pydantic: no I/O, no clock, no Kubernetes client. The CRDs, the chart's copy of them and the
API reference are generated from these models.
"""
