"""`kubectl modelyard`: see, steer and understand trainings, versions and rollouts."""
