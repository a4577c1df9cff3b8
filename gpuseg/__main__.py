"""`python -m gpuseg` is the `gpuseg` command."""

import sys

from gpuseg.cli import main

sys.exit(main())
