"""The wiring: kopf's events in, reconciles out. Nothing here decides anything."""
