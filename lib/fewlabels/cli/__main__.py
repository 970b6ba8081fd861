"""Run the command line: `python -m fewlabels.cli`."""

import sys

from fewlabels.cli import main

sys.exit(main())
