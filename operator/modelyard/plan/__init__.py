"""Pure decisions: `(resource, observed, now) -> Plan`. No I/O, clock, randomness or globals.

Planning twice changes nothing: applying a plan and planning again yields an empty plan.
"""
