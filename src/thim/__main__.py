"""
``python -m thim``.
"""

from __future__ import annotations

from thim.cli.main import main


main()
