"""The training program that Modelyard runs in a pod or on a laptop."""
