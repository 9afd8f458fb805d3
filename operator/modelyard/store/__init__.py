"""The S3 library: publication, verification, download and removal of versions.

The trainer publishes with it, the operator verifies and removes, the serving pod fetches.
Start at `client.connect`; the protocol itself is told in `publication`.
"""
