"""`python -m p4softswitch`."""

import sys

from p4softswitch.cli import main

sys.exit(main())
