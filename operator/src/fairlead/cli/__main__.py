"""`python -m fairlead.cli`."""

import sys

from fairlead.cli.main import main

sys.exit(main())
