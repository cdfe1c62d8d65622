"""
Attestation: from evidence to what may be said of who produced it.
"""
