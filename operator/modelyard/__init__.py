"""Modelyard: a Kubernetes operator for the whole life of a TensorFlow model."""
