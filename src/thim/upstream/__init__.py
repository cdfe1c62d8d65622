"""
Vendor services and what stands in for them, as a client.
"""
