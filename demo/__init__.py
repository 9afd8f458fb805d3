"""The product's whole path on a real local Kubernetes: `make demo`."""
