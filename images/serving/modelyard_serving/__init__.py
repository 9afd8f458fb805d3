"""A stand-in for TensorFlow Serving where its image cannot be pulled.

Same flags, gRPC and REST interfaces and metric names as `tensorflow_model_server`, run on the
TensorFlow wheel. What differs on purpose stands in this folder's README.
"""
