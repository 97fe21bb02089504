"""The canary run: ``python -m tests.security.canary [pytest's arguments]``.

The functions over moto, and the pipeline over the simulator. Prints how much
was looked through and what was found there; fails on the first canary in the wrong place.
"""

import sys

import pytest

SUITES = (
    "tests/handlers",
    "tests/adapters/test_fal_post.py",
    "tests/simulator/test_adapters.py",
    "tests/simulator/test_pipeline.py",
    "tests/simulator/test_proof_sheet.py",
    "tests/security/canary",
)

if __name__ == "__main__":
    sys.exit(pytest.main(["-q", *(sys.argv[1:] or SUITES)]))
