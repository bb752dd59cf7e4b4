"""``python -m symlump``."""

import sys

from symlump.cli.main import main

sys.exit(main())
