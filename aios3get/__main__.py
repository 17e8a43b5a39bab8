"""``python -m aios3get`` is the ``aios3get`` command."""

import sys

from aios3get.cli import main

sys.exit(main())
