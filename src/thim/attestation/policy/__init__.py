"""
Attestation policies: what a customer permits, and adds to the token.
"""
