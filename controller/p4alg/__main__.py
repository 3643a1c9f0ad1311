"""`python -m p4alg` is the `p4alg` command."""

import sys

from p4alg.cli import main

sys.exit(main())
