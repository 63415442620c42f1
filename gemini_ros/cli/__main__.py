"""``python -m gemini_ros.cli``, where the script ``gemini-ros`` is not on the path."""

import sys

from gemini_ros.cli import main

sys.exit(main())
