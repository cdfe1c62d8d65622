"""
Baselines: which collateral we stand behind, for whom, since when.
"""
