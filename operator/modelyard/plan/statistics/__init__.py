"""Sequential statistics that stay true however often one looks, from counts alone.

Called by the rollout judge. Pure functions of numbers that need `math` only.
"""
