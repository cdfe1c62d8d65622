"""
Certificates, revocation lists and signatures, at a given instant.
"""
