"""What the metrics of a task are called."""

SCORES = ("accuracy", "precision", "recall", "f1", "roc_auc")
"""Metrics of a classification between 0 and 1, more is better; averages over classes are macro."""

LOSSES = ("log_loss", "loss")
"""Metrics of a classification from 0 upwards, less is better."""

METRICS = SCORES + LOSSES
"""Every metric that a trainer reports for a classification."""
