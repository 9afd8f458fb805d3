"""The rollout judge: Pass, Fail or NeedMoreData, from the counters of stable and canary alone.

Every verdict holds however often one looks, and survives requests that fail together. Pure: the
state goes in and comes out, so that any leader continues where the last one stopped.
"""
