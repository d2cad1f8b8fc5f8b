"""`python -m fairlead.controller --config FILE`."""

import sys

from fairlead.controller.main import main

sys.exit(main())
