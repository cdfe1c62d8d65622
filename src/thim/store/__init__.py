"""
The ledger, which is the truth, and the replica, which is read to serve.
"""
